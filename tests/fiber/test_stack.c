/*
 * test_stack.c - sizes, guards of all three kinds, what goes back to the kernel, and failures.
 */
#include "fixture.h"
#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the replaced calls of the port do; -1 never fails. */
static struct {
    int advise_guard_status;
    bool advise_guard_ignored;
    int protects_left;
    int protect_refused; /* the how-manieth guard from now, once; 0: none */
    int maps_left;
    size_t map_bytes_max;
    int allocs_left;
    int maps_alive;
    int allocs_alive;
    size_t protects;
    size_t releases;
} port;

static const struct whorl__os *real_os;

static bool spend(int *left)
{
    if (*left == 0) {
        return false;
    }
    *left -= *left > 0;
    return true;
}

static int port_advise(void *base, size_t bytes, int advice)
{
    enum { GUARD_INSTALL = 102 };
    if (advice == GUARD_INSTALL && port.advise_guard_status != 0) {
        return port.advise_guard_status;
    }
    if (advice == GUARD_INSTALL && port.advise_guard_ignored) {
        return 0;
    }
    port.releases += advice == MADV_DONTNEED;
    return real_os->advise(base, bytes, advice);
}

static int port_protect(void *base, size_t bytes, int protection)
{
    const bool is_guard = protection == PROT_NONE;
    if (!spend(&port.protects_left) || (is_guard && port.protect_refused-- == 1)) {
        return -ENOMEM;
    }
    port.protects += is_guard;
    return real_os->protect(base, bytes, protection);
}

static int port_map(size_t bytes, void **ret_base)
{
    if (bytes > port.map_bytes_max || !spend(&port.maps_left)) {
        return -ENOMEM;
    }
    const int status = real_os->map(bytes, ret_base);
    port.maps_alive += status == 0;
    return status;
}

static int port_unmap(void *base, size_t bytes)
{
    port.maps_alive--;
    return real_os->unmap(base, bytes);
}

static void *port_alloc(size_t bytes)
{
    if (!spend(&port.allocs_left)) {
        return NULL;
    }
    port.allocs_alive++;
    return real_os->alloc(bytes);
}

static void port_free(void *block)
{
    port.allocs_alive--;
    real_os->free(block);
}

static struct whorl__os test_os;

static int set_up_port(void **state)
{
    memset(&port, 0, sizeof(port));
    port.protects_left = -1;
    port.maps_left = -1;
    port.allocs_left = -1;
    port.map_bytes_max = SIZE_MAX;
    real_os = whorl__os;
    test_os = *real_os;
    test_os.advise = port_advise;
    test_os.protect = port_protect;
    test_os.map = port_map;
    test_os.unmap = port_unmap;
    test_os.alloc = port_alloc;
    test_os.free = port_free;
    whorl__os = &test_os;
    return set_up(state);
}

static int tear_down_port(void **state)
{
    const int status = tear_down(state);
    whorl__os = real_os;
    return status != 0 || port.maps_alive != 0 || port.allocs_alive != 0;
}

static struct whorl__stacks_info info_of(struct rig *rig)
{
    struct whorl__stacks_info info;
    whorl__stacks_info(rig->stacks, &info);
    return info;
}

/* Whether a write to `place` is survived; asked of a child process. */
static bool survives_write(char *place)
{
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)place = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status);
}

static void test_class_of_any_size_is_the_smallest_that_fits(void **state)
{
    /* The class is a shift count; off by one here means an overflow or twice the memory. */
    (void)state;
    assert_int_equal(whorl__stack_class(1), 0);
    assert_int_equal(whorl__stack_class(WHORL_STACK_MIN), 0);
    assert_int_equal(whorl__stack_class(WHORL_STACK_MIN + 1), 1);
    assert_int_equal(whorl__stack_class(0), whorl__stack_class(WHORL_STACK_DEFAULT));
    assert_int_equal(whorl__stack_class(WHORL_STACK_MAX), WHORL_STACK_CLASS_COUNT - 1);
    for (size_t bytes = WHORL_STACK_MIN; bytes <= WHORL_STACK_MAX; bytes += bytes / 3) {
        const unsigned size_class = whorl__stack_class(bytes);
        assert_true(whorl__stack_class_bytes(size_class) >= bytes);
        assert_true(size_class == 0 || whorl__stack_class_bytes(size_class - 1) < bytes);
    }
}

static void touch_all(struct job *job)
{
    volatile char *low = job->self->stack_low;
    low[0] = 1;
    job->result = 1;
}

static void test_every_size_is_usable_to_its_last_byte_and_guarded_below(void **state)
{
    /* From the smallest to the largest: the stack is all there, and one byte below it nobody is. */
    struct rig *rig = *state;
    for (size_t bytes = WHORL_STACK_MIN; bytes <= WHORL_STACK_MAX; bytes *= 4) {
        struct whorl__fiber *fiber = NULL;
        struct job job = {0};
        assert_int_equal(whorl__fibers_get(&rig->fibers, bytes, &fiber), 0);
        assert_int_equal(fiber->stack_bytes, bytes);
        assign(rig, fiber, &job, touch_all);
        resume(&job);
        assert_int_equal(job.result, 1);
        assert_false(survives_write(fiber->stack_low - 1));
        assert_false(survives_write(fiber->stack_low - WHORL_STACK_GUARD));
        put(rig, fiber);
    }
}

static void test_size_beyond_the_largest_is_refused(void **state)
{
    /* A size computed wrongly, such as a negative one, must not come back as a small stack. */
    struct rig *rig = *state;
    struct whorl__fiber *fiber = NULL;
    assert_int_equal(whorl__fibers_get(&rig->fibers, WHORL_STACK_MAX + 1, &fiber), -EINVAL);
    assert_int_equal(whorl__fibers_get(&rig->fibers, SIZE_MAX, &fiber), -EINVAL);
    assert_null(fiber);
}

enum { MANY = 64 };

/* Of the default size, guard included. */
static size_t slot_bytes(void)
{
    return whorl__stack_class_bytes(whorl__stack_class(0)) + WHORL_STACK_GUARD;
}

static void get_many(struct rig *rig, struct whorl__fiber *fibers[MANY])
{
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fibers[i]), 0);
    }
}

static void put_many(struct rig *rig, struct whorl__fiber *fibers[MANY])
{
    for (int i = 0; i < MANY; i++) {
        put(rig, fibers[i]);
    }
}

static void test_guards_by_protection_where_markers_are_refused(void **state)
{
    /* Kernels before 6.13, and locked memory, answer EINVAL: each stack is guarded all the same. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[MANY];
    port.advise_guard_status = -EINVAL;
    get_many(rig, fibers);
    assert_int_equal(info_of(rig).guard, WHORL__GUARD_PROTECT);
    assert_int_equal(info_of(rig).unguarded, 0);
    assert_true(port.protects >= MANY);
    assert_false(survives_write(fibers[MANY - 1]->stack_low - 1));
    put_many(rig, fibers);
}

static void test_guards_by_protection_where_markers_are_a_lie(void **state)
{
    /* qemu-user answers 0 to any advice and does nothing; stacks must not end up without guards. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[MANY];
    port.advise_guard_ignored = true;
    get_many(rig, fibers);
    assert_int_equal(info_of(rig).guard, WHORL__GUARD_PROTECT);
    for (int i = 0; i < MANY; i += 9) {
        assert_false(survives_write(fibers[i]->stack_low - 1));
    }
    put_many(rig, fibers);
}

static void test_guards_out_of_map_entries_still_guard_each_slab(void **state)
{
    /* Past vm.max_map_count protection fails. Better a stack whose overflow runs into its neighbour
     * than no stack; but nothing may run out of the slab into foreign memory. */
    enum { SLAB_STACKS = 4, GUARDED_FIRST = 2 };
    struct rig *rig = *state;
    struct whorl__fiber *fibers[MANY];
    port.advise_guard_status = -EINVAL;
    port.map_bytes_max = SLAB_STACKS * slot_bytes();
    port.protects_left = GUARDED_FIRST;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fibers[0]), 0);
    assert_int_equal(info_of(rig).guard, WHORL__GUARD_SLAB);
    port.protects_left = -1;
    for (int i = 1; i < MANY; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fibers[i]), 0);
    }
    const struct whorl__stacks_info info = info_of(rig);
    const size_t guarded = GUARDED_FIRST + info.slabs - 1;
    assert_int_equal(port.protects, guarded);
    assert_int_equal(info.unguarded, info.out - guarded);
    assert_false(survives_write(fibers[0]->stack_low - 1));
    put_many(rig, fibers);
}

static void test_guards_are_given_up_for_the_entries_they_took(void **state)
{
    /* The kernel refuses the guard at the bottom of the second slab: the first one gives up its own
     * but the lowest, and then there is room. */
    enum { SLAB_STACKS = 4 };
    struct rig *rig = *state;
    struct whorl__fiber *fibers[MANY];
    char *lowest = NULL;
    port.advise_guard_status = -EINVAL;
    port.map_bytes_max = SLAB_STACKS * slot_bytes();
    port.protect_refused = SLAB_STACKS + 1;
    get_many(rig, fibers);
    const struct whorl__stacks_info info = info_of(rig);
    assert_int_equal(info.guard, WHORL__GUARD_SLAB);
    assert_int_equal(info.unguarded, info.out + info.shelved - info.slabs);
    for (int i = 0; i < SLAB_STACKS; i++) {
        if (lowest == NULL || fibers[i]->stack_low < lowest) {
            lowest = fibers[i]->stack_low;
        }
    }
    assert_false(survives_write(lowest - 1));
    assert_true(survives_write(lowest + slot_bytes() - 1));
    put_many(rig, fibers);
}

static void test_slab_without_any_guard_is_not_used(void **state)
{
    /* The last resort has a limit: no guard at the bottom of the slab, no stack. */
    struct rig *rig = *state;
    struct whorl__fiber *fiber = NULL;
    port.advise_guard_status = -EINVAL;
    port.protects_left = 0;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), -ENOMEM);
    assert_null(fiber);
    port.protects_left = -1;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), 0);
    assert_false(survives_write(fiber->stack_low - 1));
    put(rig, fiber);
}

static void test_short_address_space_gets_smaller_slabs(void **state)
{
    /* Under RLIMIT_AS a whole slab may not fit where a stack does. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[MANY];
    port.map_bytes_max = 2 * slot_bytes();
    get_many(rig, fibers);
    assert_true(info_of(rig).slabs >= MANY / 2);
    put_many(rig, fibers);
}

static void test_memory_failing_anywhere_leaves_nothing_behind(void **state)
{
    /* Each allocation and mapping fails in turn; the teardown counts what is still alive. */
    struct rig *rig = *state;
    struct whorl__fiber *fiber = NULL;
    port.allocs_left = 0;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), -ENOMEM);
    port.allocs_left = -1;
    port.maps_left = 0;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), -ENOMEM);
    assert_null(fiber);
    assert_int_equal(port.maps_alive, 0);
    port.maps_left = -1;
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), 0);
    put(rig, fiber);

    struct whorl__stacks *stacks = NULL;
    port.allocs_left = 0;
    assert_int_equal(whorl__stacks_create(&stacks), -ENOMEM);
    assert_null(stacks);
    port.allocs_left = -1;
}

/* alloca of no fixed size, for ASan may put arrays elsewhere than on the stack. */
static WHORL_NOINLINE void use_stack(struct job *job)
{
    const volatile size_t bytes = 40000;
    volatile char *deep = __builtin_alloca(bytes);
    for (size_t i = 0; i < bytes; i++) {
        deep[i] = 1;
    }
    job->result = deep[0];
}

static void test_high_water_mark_follows_depth_and_trim(void **state)
{
    /* The mark tells a user what stack_bytes a task needs, and that an idle fiber costs nothing. */
    struct rig *rig = *state;
    struct job job = {0};
    struct whorl__fiber *fiber = get(rig, &job, use_stack);
    const size_t fresh = whorl__fiber_stack_used(fiber);
    assert_in_range(fresh, 1, (size_t)sysconf(_SC_PAGESIZE));
    resume(&job);
    const size_t used = whorl__fiber_stack_used(fiber);
    assert_in_range(used, 40000, fiber->stack_bytes);
    assert_int_equal(used % (size_t)sysconf(_SC_PAGESIZE), 0);
    put(rig, fiber);
    whorl__fibers_trim(&rig->fibers);
    whorl__stacks_trim(rig->stacks);
    assert_int_equal(whorl__fiber_stack_used(fiber), 0);
    assert_int_equal(info_of(rig).out, 0);
}

static void test_guard_outlives_trimming(void **state)
{
    /* MADV_DONTNEED takes the pages; the marks below them have to stay. */
    struct rig *rig = *state;
    struct job job = {0};
    struct whorl__fiber *fiber = get(rig, &job, use_stack);
    resume(&job);
    put(rig, fiber);
    whorl__fibers_trim(&rig->fibers);
    whorl__stacks_trim(rig->stacks);
    assert_true(survives_write(fiber->stack_low));
    assert_false(survives_write(fiber->stack_low - 1));
}

/* So many that have run, and that nobody may resume. */
static void drop_used(struct rig *rig, struct whorl__fiber *fibers[], int count)
{
    struct job job = {0};
    for (int i = 0; i < count; i++) {
        fibers[i] = get(rig, &job, use_stack);
        resume(&job);
    }
    for (int i = 0; i < count; i++) {
        whorl__stacks_drop(rig->stacks, fibers[i]);
    }
}

static void test_memory_of_used_stacks_goes_back_when_told_in_runs(void **state)
{
    /* Each call to the kernel may interrupt all cores: neighbours share one. */
    enum { USED = 40 };
    struct rig *rig = *state;
    struct whorl__fiber *fibers[USED];
    drop_used(rig, fibers, USED);
    assert_int_equal(info_of(rig).used, USED);
    assert_int_equal(port.releases, 0);
    assert_true(whorl__fiber_stack_used(fibers[0]) > 0);

    assert_int_equal(whorl__stacks_release(rig->stacks, USED - 10), USED - 10);
    assert_int_equal(info_of(rig).used, 10);
    assert_int_equal(whorl__stacks_release(rig->stacks, 1000), 10);
    assert_int_equal(info_of(rig).used, 0);
    assert_in_range(port.releases, 1, USED / 4);
    assert_int_equal(whorl__stacks_release(rig->stacks, 1000), 0);
    for (int i = 0; i < USED; i++) {
        assert_int_equal(whorl__fiber_stack_used(fibers[i]), 0);
    }
    assert_true(survives_write(fibers[0]->stack_low));
    assert_false(survives_write(fibers[0]->stack_low - 1));
    assert_false(survives_write(fibers[USED - 1]->stack_low - 1));
    whorl__fibers_trim(&rig->fibers);
    assert_int_equal(info_of(rig).out, 0);
}

static void test_used_stack_is_taken_before_a_cold_one(void **state)
{
    /* Its pages are there: a new one costs microseconds. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[2];
    struct whorl__fiber *chain = NULL;
    drop_used(rig, fibers, 2);
    assert_int_equal(whorl__stacks_release(rig->stacks, 1), 1);
    const bool first_is_used = whorl__fiber_stack_used(fibers[0]) > 0;
    const unsigned size_class = fibers[0]->size_class;
    assert_int_equal(whorl__stacks_take(rig->stacks, size_class, 1, &chain), 0);
    assert_ptr_equal(chain, fibers[first_is_used ? 0 : 1]);
    assert_int_equal(info_of(rig).used, 0);
    assert_int_equal(whorl__stacks_release(rig->stacks, 1), 0);
    whorl__stacks_give(rig->stacks, chain);
}

static void test_used_stacks_of_all_sizes_are_found(void **state)
{
    /* One size at a time, the smaller first. */
    struct rig *rig = *state;
    const size_t sizes[3] = {WHORL_STACK_MAX, (size_t)1 << 20, 0};
    struct whorl__fiber *fiber;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, sizes[i], &fiber), 0);
        whorl__stacks_drop(rig->stacks, fiber);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(whorl__stacks_release(rig->stacks, 64), 1);
    }
    assert_int_equal(whorl__stacks_release(rig->stacks, 64), 0);
}

struct churn {
    struct rig *rig;
    struct whorl__fibers fibers;
    long failures;
};

static void *churn(void *arg)
{
    struct churn *churn = arg;
    struct whorl__fiber *fibers[MANY];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < MANY; i++) {
            churn->failures += whorl__fibers_get(&churn->fibers, 0, &fibers[i]) != 0;
            fibers[i]->user = churn;
        }
        for (int i = 0; i < MANY; i++) {
            churn->failures += fibers[i]->user != churn;
            whorl__fibers_put(&churn->fibers, fibers[i]);
        }
        whorl__fibers_trim(&churn->fibers);
    }
    return NULL;
}

static void test_store_shared_by_threads_hands_out_each_stack_once(void **state)
{
    /* Two owners of one stack would see each other's mark; and at the end all must be back. */
    enum { THREADS = 3 };
    struct rig *rig = *state;
    static struct churn churns[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        whorl__fibers_init(&churns[i].fibers, rig->stacks, entry);
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &churns[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(churns[i].failures, 0);
    }
    assert_int_equal(info_of(rig).out, 0);
}

#define WITH_PORT(test) cmocka_unit_test_setup_teardown(test, set_up_port, tear_down_port)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class_of_any_size_is_the_smallest_that_fits),
        WITH_PORT(test_every_size_is_usable_to_its_last_byte_and_guarded_below),
        WITH_PORT(test_size_beyond_the_largest_is_refused),
        WITH_PORT(test_guards_by_protection_where_markers_are_refused),
        WITH_PORT(test_guards_by_protection_where_markers_are_a_lie),
        WITH_PORT(test_guards_out_of_map_entries_still_guard_each_slab),
        WITH_PORT(test_guards_are_given_up_for_the_entries_they_took),
        WITH_PORT(test_slab_without_any_guard_is_not_used),
        WITH_PORT(test_short_address_space_gets_smaller_slabs),
        WITH_PORT(test_memory_failing_anywhere_leaves_nothing_behind),
        WITH_PORT(test_high_water_mark_follows_depth_and_trim),
        WITH_PORT(test_guard_outlives_trimming),
        WITH_PORT(test_memory_of_used_stacks_goes_back_when_told_in_runs),
        WITH_PORT(test_used_stack_is_taken_before_a_cold_one),
        WITH_PORT(test_used_stacks_of_all_sizes_are_found),
        WITH_PORT(test_store_shared_by_threads_hands_out_each_stack_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
