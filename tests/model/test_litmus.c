/*
 * The checker itself: for small programs whose results each memory model is known to allow or
 * forbid, the set of results over all executions is exactly that, in each mode.
 *
 * A result that a mode must allow and never shows is as bad as one that it must not show: then a
 * missing order in the library could not be found. Names are those of the literature; `rlx`, `ra`,
 * `fence` say how the accesses are ordered. Outcomes are the registers in the order of threads, and
 * behind a slash the final values where they matter.
 */
#include "model/model.h"

enum { WORDS = 4, REGISTERS = 4 };

struct state {
    struct {
        uint32_t word WHORL_ALIGNED(WHORL_CACHE_LINE);
    } words[WORDS];
    uint32_t registers[REGISTERS];
    unsigned data;
};

#define X            (&state->words[0].word)
#define Y            (&state->words[1].word)
#define Z            (&state->words[2].word)
#define R            (state->registers)

#define LITMUS(NAME) static void NAME(void *pointer, unsigned thread)
#define BEGIN                                                                                      \
    struct state *const state = pointer;                                                           \
    switch (thread)

static uint32_t final(const struct state *state, unsigned word)
{
    return whorl__load_relaxed_u32(&state->words[word].word);
}

static void print_two(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u%u", R[0], R[1]);
}

static void print_three(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u%u%u", R[0], R[1], R[2]);
}

static void print_four(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u%u%u%u", R[0], R[1], R[2], R[3]);
}

static void print_final_xy(void *pointer)
{
    model_outcome("/%u%u", final(pointer, 0), final(pointer, 1));
}

static void print_one_and_x(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u/%u", R[0], final(state, 0));
}

static void print_one_and_y(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u/%u", R[0], final(state, 1));
}

static void print_two_and_x(void *pointer)
{
    struct state *const state = pointer;
    model_outcome("%u%u/%u", R[0], R[1], final(state, 0));
}

/* ---- SB, store buffering: the shape of every lost wake-up ---- */

LITMUS(sb_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        R[0] = whorl__load_relaxed_u32(Y);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(sb_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_release_u32(X, 1);
        R[0] = whorl__load_acquire_u32(Y);
        break;
    default:
        whorl__store_release_u32(Y, 1);
        R[1] = whorl__load_acquire_u32(X);
    }
}

LITMUS(sb_fence)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__fence_full();
        R[0] = whorl__load_relaxed_u32(Y);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        whorl__fence_full();
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(sb_fence_one)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__fence_full();
        R[0] = whorl__load_relaxed_u32(Y);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* x86 orders by its locked operations; C11 does not. */
LITMUS(sb_swap)
{
    BEGIN
    {
    case 0:
        (void)whorl__swap_u32(X, 1);
        R[0] = whorl__load_relaxed_u32(Y);
        break;
    default:
        (void)whorl__swap_u32(Y, 1);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* A store may be read back from the buffer before others see it. */
LITMUS(sb_forward)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        R[2] = whorl__load_relaxed_u32(X);
        R[0] = whorl__load_relaxed_u32(Y);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        R[3] = whorl__load_relaxed_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* ---- MP, message passing: publish, then the flag ---- */

LITMUS(mp_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(mp_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(mp_release_only)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(mp_acquire_only)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(mp_fences)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__fence_release();
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(Y);
        whorl__fence_acquire();
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* The release is on a store in front: it orders nothing behind it. */
LITMUS(mp_release_too_early)
{
    BEGIN
    {
    case 0:
        whorl__store_release_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* ---- coherence ---- */

LITMUS(corr)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(X);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(coww)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(X, 2);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(X);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(corw)
{
    BEGIN
    {
    case 0:
        R[0] = whorl__load_relaxed_u32(X);
        whorl__store_relaxed_u32(X, 1);
        break;
    default:
        whorl__store_relaxed_u32(X, 2);
    }
}

LITMUS(cowr)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        R[0] = whorl__load_relaxed_u32(X);
        break;
    default:
        whorl__store_relaxed_u32(X, 2);
    }
}

/* ---- 2+2W: two writers cross ---- */

LITMUS(two_two_w_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 2);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        whorl__store_relaxed_u32(X, 2);
    }
}

LITMUS(two_two_w_rel)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 2);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        whorl__store_release_u32(X, 2);
    }
}

LITMUS(two_two_w_fence)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__fence_full();
        whorl__store_relaxed_u32(Y, 2);
        break;
    default:
        whorl__store_relaxed_u32(Y, 1);
        whorl__fence_full();
        whorl__store_relaxed_u32(X, 2);
    }
}

/* ---- S and R ---- */

LITMUS(s_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 2);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_relaxed_u32(Y);
        whorl__store_relaxed_u32(X, 1);
    }
}

LITMUS(s_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 2);
        whorl__store_release_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        whorl__store_relaxed_u32(X, 1);
    }
}

LITMUS(r_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        whorl__store_relaxed_u32(Y, 2);
        R[0] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(r_fence)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__fence_full();
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        whorl__store_relaxed_u32(Y, 2);
        whorl__fence_full();
        R[0] = whorl__load_relaxed_u32(X);
    }
}

/* ---- three threads: WRC, ISA2, release sequences ---- */

LITMUS(wrc_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        break;
    case 1:
        R[0] = whorl__load_relaxed_u32(X);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[1] = whorl__load_relaxed_u32(Y);
        R[2] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(wrc_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        break;
    case 1:
        R[0] = whorl__load_relaxed_u32(X);
        whorl__store_release_u32(Y, 1);
        break;
    default:
        R[1] = whorl__load_acquire_u32(Y);
        R[2] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(isa2_rlx)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    case 1:
        R[0] = whorl__load_relaxed_u32(Y);
        whorl__store_relaxed_u32(Z, 1);
        break;
    default:
        R[1] = whorl__load_relaxed_u32(Z);
        R[2] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(isa2_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 1);
        break;
    case 1:
        R[0] = whorl__load_acquire_u32(Y);
        whorl__store_release_u32(Z, 1);
        break;
    default:
        R[1] = whorl__load_acquire_u32(Z);
        R[2] = whorl__load_relaxed_u32(X);
    }
}

/* A relaxed read-modify-write carries the release that it read on; a relaxed store does not. */
LITMUS(sequence_rmw)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 1);
        break;
    case 1:
        whorl__add_relaxed_u32(Y, 1);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

LITMUS(sequence_store)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_release_u32(Y, 1);
        whorl__store_relaxed_u32(Y, 2);
        break;
    default:
        R[0] = whorl__load_acquire_u32(Y);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* ---- IRIW: two readers see two writers in different orders ---- */

LITMUS(iriw_ra)
{
    BEGIN
    {
    case 0:
        whorl__store_release_u32(X, 1);
        break;
    case 1:
        whorl__store_release_u32(Y, 1);
        break;
    case 2:
        R[0] = whorl__load_acquire_u32(X);
        R[1] = whorl__load_acquire_u32(Y);
        break;
    default:
        R[2] = whorl__load_acquire_u32(Y);
        R[3] = whorl__load_acquire_u32(X);
    }
}

LITMUS(iriw_fence)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        break;
    case 1:
        whorl__store_relaxed_u32(Y, 1);
        break;
    case 2:
        R[0] = whorl__load_relaxed_u32(X);
        whorl__fence_full();
        R[1] = whorl__load_relaxed_u32(Y);
        break;
    default:
        R[2] = whorl__load_relaxed_u32(Y);
        whorl__fence_full();
        R[3] = whorl__load_relaxed_u32(X);
    }
}

/* ---- read-modify-writes ---- */

LITMUS(rmw_add)
{
    struct state *const state = pointer;
    R[thread] = whorl__add_u32(X, 1);
}

LITMUS(rmw_cas)
{
    struct state *const state = pointer;
    R[thread] = whorl__cas_u32(X, 0, thread + 1);
}

/* A store never comes between the two halves of a read-modify-write. */
LITMUS(rmw_store)
{
    BEGIN
    {
    case 0:
        R[0] = whorl__add_u32(X, 4);
        break;
    default:
        whorl__store_relaxed_u32(X, 1);
        R[1] = whorl__load_relaxed_u32(X);
    }
}

/* A compare-and-swap that fails is a load: it may return an old value, but on x86. */
LITMUS(cas_fails_old)
{
    BEGIN
    {
    case 0:
        whorl__store_relaxed_u32(X, 1);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default: {
        uint32_t found = 7;
        R[0] = whorl__load_relaxed_u32(Y);
        (void)whorl__cas_value_u32(X, &found, 8);
        R[1] = found;
    }
    }
}

/* ---- not simulated ---- */

/* LB: C11 and AArch64 allow 11. The checker does not, for a load never reads the future. */
LITMUS(lb_rlx)
{
    BEGIN
    {
    case 0:
        R[0] = whorl__load_relaxed_u32(X);
        whorl__store_relaxed_u32(Y, 1);
        break;
    default:
        R[1] = whorl__load_relaxed_u32(Y);
        whorl__store_relaxed_u32(X, 1);
    }
}

/* ---- Dekker: at most one is inside ---- */

LITMUS(dekker)
{
    struct state *const state = pointer;
    whorl__store_relaxed_u32(thread == 0 ? X : Y, 1);
    whorl__fence_full();
    if (whorl__load_acquire_u32(thread == 0 ? Y : X) == 0) {
        whorl__plain_write(&state->data);
        state->data++;
        R[thread] = 1;
    }
}

#define ALL(A)                                                                                     \
    {                                                                                              \
        A, A, A, A                                                                                 \
    }
#define EACH(SC, TSO, PSO, C11)                                                                    \
    {                                                                                              \
        SC, TSO, PSO, C11                                                                          \
    }
#define FIFTEEN "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111"
#define TEST(NAME, BODY, THREADS, PRINT, ABOUT, ...)                                               \
    {                                                                                              \
        .name = "litmus/" NAME, .about = ABOUT, .threads = THREADS,                                \
        .state_bytes = sizeof(struct state), .body = BODY, .finish = PRINT,                        \
        .preemptions = MODEL_UNBOUNDED, .schedules = 200, .outcomes = __VA_ARGS__                  \
    }

static const struct model models[] = {
    TEST("SB", sb_rlx, 2, print_two, "both loads old from tso on",
         EACH("01 10 11", "00 01 10 11", "00 01 10 11", "00 01 10 11")),
    TEST("SB+ra", sb_ra, 2, print_two, "release and acquire do not help",
         EACH("01 10 11", "00 01 10 11", "00 01 10 11", "00 01 10 11")),
    TEST("SB+fence", sb_fence, 2, print_two, "full fences do", ALL("01 10 11")),
    TEST("SB+one-fence", sb_fence_one, 2, print_two, "but not one of them",
         EACH("01 10 11", "00 01 10 11", "00 01 10 11", "00 01 10 11")),
    TEST("SB+swap", sb_swap, 2, print_two, "locked operations fence on x86 only",
         EACH("01 10 11", "01 10 11", "01 10 11", "00 01 10 11")),
    TEST("SB+forward", sb_forward, 2, print_four, "own stores are read at once",
         EACH("0111 1011 1111", "0011 0111 1011 1111", "0011 0111 1011 1111",
              "0011 0111 1011 1111")),
    TEST("MP", mp_rlx, 2, print_two, "flag new, message old: from pso on",
         EACH("00 01 11", "00 01 11", "00 01 10 11", "00 01 10 11")),
    TEST("MP+ra", mp_ra, 2, print_two, "release and acquire", ALL("00 01 11")),
    TEST("MP+release", mp_release_only, 2, print_two, "loads are reordered in c11 only",
         EACH("00 01 11", "00 01 11", "00 01 11", "00 01 10 11")),
    TEST("MP+acquire", mp_acquire_only, 2, print_two, "stores are reordered from pso on",
         EACH("00 01 11", "00 01 11", "00 01 10 11", "00 01 10 11")),
    TEST("MP+fences", mp_fences, 2, print_two, "release and acquire fences", ALL("00 01 11")),
    TEST("MP+early-release", mp_release_too_early, 2, print_two, "a release store is one way",
         EACH("00 01 11", "00 01 11", "00 01 10 11", "00 01 10 11")),
    TEST("CoRR", corr, 2, print_two, "loads of one word do not go back", ALL("00 01 11")),
    TEST("CoWW", coww, 2, print_two_and_x, "stores to one word stay in order",
         ALL("00/2 01/2 02/2 11/2 12/2 22/2")),
    TEST("CoRW", corw, 2, print_one_and_x, "a load does not see what is behind its own store",
         ALL("0/1 0/2 2/1")),
    TEST("CoWR", cowr, 2, print_one_and_x, "nor what is in front of it", ALL("1/1 1/2 2/2")),
    TEST("2+2W", two_two_w_rlx, 2, print_final_xy, "both first stores last: from pso on",
         EACH("/12 /21 /22", "/12 /21 /22", "/11 /12 /21 /22", "/11 /12 /21 /22")),
    TEST("2+2W+rel", two_two_w_rel, 2, print_final_xy, "releases alone do not forbid it in C11",
         EACH("/12 /21 /22", "/12 /21 /22", "/12 /21 /22", "/11 /12 /21 /22")),
    TEST("2+2W+fence", two_two_w_fence, 2, print_final_xy, "full fences do", ALL("/12 /21 /22")),
    TEST("S", s_rlx, 2, print_one_and_x, "the store behind a load is overwritten from before",
         EACH("0/1 0/2 1/1", "0/1 0/2 1/1", "0/1 0/2 1/1 1/2", "0/1 0/2 1/1 1/2")),
    TEST("S+ra", s_ra, 2, print_one_and_x, "release and acquire", ALL("0/1 0/2 1/1")),
    TEST("R", r_rlx, 2, print_one_and_y, "store over a store, load old: from tso on",
         EACH("0/1 1/1 1/2", "0/1 0/2 1/1 1/2", "0/1 0/2 1/1 1/2", "0/1 0/2 1/1 1/2")),
    TEST("R+fence", r_fence, 2, print_one_and_y, "full fences", ALL("0/1 1/1 1/2")),
    TEST("WRC", wrc_rlx, 3, print_three, "a message told on: c11 only",
         EACH("000 001 010 011 100 101 111", "000 001 010 011 100 101 111",
              "000 001 010 011 100 101 111", "000 001 010 011 100 101 110 111")),
    TEST("WRC+ra", wrc_ra, 3, print_three, "one release and acquire carry it",
         ALL("000 001 010 011 100 101 111")),
    TEST("ISA2", isa2_rlx, 3, print_three, "a message over two flags: from pso on",
         EACH("000 001 010 011 100 101 111", "000 001 010 011 100 101 111",
              "000 001 010 011 100 101 110 111", "000 001 010 011 100 101 110 111")),
    TEST("ISA2+ra", isa2_ra, 3, print_three, "releases and acquires add up",
         ALL("000 001 010 011 100 101 111")),
    TEST("sequence+rmw", sequence_rmw, 3, print_two, "a release sequence goes over an rmw",
         ALL("00 01 10 11 21")),
    TEST("sequence+store", sequence_store, 2, print_two, "and not over a store",
         EACH("00 01 11 21", "00 01 11 21", "00 01 11 21", "00 01 11 20 21")),
    TEST("IRIW+ra", iriw_ra, 4, print_four, "two orders of two stores: c11 only",
         EACH(FIFTEEN, FIFTEEN, FIFTEEN, FIFTEEN " 1010")),
    TEST("IRIW+fence", iriw_fence, 4, print_four, "full fences", ALL(FIFTEEN)),
    TEST("RMW+add", rmw_add, 2, print_two_and_x, "none is lost", ALL("01/2 10/2")),
    TEST("RMW+cas", rmw_cas, 2, print_two_and_x, "one wins", ALL("10/1 01/2")),
    TEST("RMW+store", rmw_store, 2, print_two_and_x, "nothing comes between its halves",
         ALL("01/1 11/5 15/5")),
    TEST("CAS+old", cas_fails_old, 2, print_two, "a failed cas may return an old value",
         EACH("00 01 11", "00 01 11", "00 01 10 11", "00 01 10 11")),
    TEST("LB", lb_rlx, 2, print_two, "not simulated: 11", ALL("00 01 10")),
    TEST("Dekker", dekker, 2, print_two, "at most one is inside", ALL("00 01 10")),
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
