/*
 * test_culprit.c - which words of a stack are taken for return addresses.
 *
 * The file under test is included whole: what it looks for is decided by static functions, and the
 * kernel tells the registers of a blocked thread only where the program is not emulated.
 */
#include "sched/culprit.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The word where this function's caller left its return address, signed if it signs them. */
static WHORL_NOINLINE uintptr_t saved_return(void)
{
    uintptr_t *const frame = __builtin_frame_address(0);
    __asm__ volatile("" ::: "memory");
    return frame[1];
}

static WHORL_NOINLINE uintptr_t call_directly(void)
{
    const uintptr_t word = saved_return();
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return word;
}

static WHORL_NOINLINE uintptr_t call_by_pointer(uintptr_t (*volatile callee)(void))
{
    const uintptr_t word = callee();
    __asm__ volatile("" ::: "memory");
    return word;
}

static void test_culprit_return_addresses_are_seen(void **state)
{
    /* After a call by name and after one through a register. */
    (void)state;
    assert_true(looks_like_return(plain_address(call_directly())));
    assert_true(looks_like_return(plain_address(call_by_pointer(saved_return))));
}

static void test_culprit_other_words_are_passed_over(void **state)
{
    /* Numbers, data, the stack: what a stack is full of. */
    static int data;
    int local = 0;
    (void)state;
    assert_false(looks_like_return(0));
    assert_false(looks_like_return(4096));
    assert_false(looks_like_return(UINTPTR_MAX));
    assert_false(looks_like_return((uintptr_t)&data));
    assert_false(looks_like_return((uintptr_t)&local));
}

/* Instructions as numbers, the lowest byte first; true where one of them is a call. */
struct instruction {
    uint32_t first, second;
    bool is_call;
};

#if defined(__aarch64__)

static const struct instruction instructions[] = {
    {0xd503201f, 0xd503201f, false}, /* nop */
    {0xd503201f, 0x94000010, true},  /* bl */
    {0xd503201f, 0x97fffff0, true},  /* bl, backwards */
    {0xd503201f, 0xd63f00a0, true},  /* blr x5 */
    {0xd503201f, 0xd73f08a6, true},  /* blraa x5, x6 */
    {0xd503201f, 0xd63f08bf, true},  /* blraaz x5 */
    {0x94000010, 0xd503201f, false}, /* bl, and one more */
    {0xd503201f, 0xd61f00a0, false}, /* br x5 */
    {0xd503201f, 0x14000010, false}, /* b */
    {0xd503201f, 0xd65f03c0, false}, /* ret */
};

#else

static const struct instruction instructions[] = {
    {0x90909090, 0x90909090, false}, /* nop */
    {0xe8909090, 0x00001000, true},  /* call by name */
    {0x90909090, 0xd0ff9090, true},  /* call *%rax */
    {0x90909090, 0x1050ff90, true},  /* call *16(%rax) */
    {0x90909090, 0xe0ff9090, false}, /* jmp *%rax */
    {0xe9909090, 0x00001000, false}, /* jmp */
    {0x90909090, 0xc3909090, false}, /* ret */
};

#endif

static void test_culprit_calls_are_told_from_other_instructions(void **state)
{
    /* One that is not known as a call hides a frame; one too many shows a frame that is none. */
    (void)state;
    for (size_t i = 0; i < sizeof instructions / sizeof instructions[0]; i++) {
        const unsigned char *const code = (const unsigned char *)&instructions[i];
        assert_int_equal(follows_call(code + CALL_BYTES_MAX), instructions[i].is_call);
    }
}

#if defined(__aarch64__)

static uintptr_t sign(uintptr_t word)
{
    register uintptr_t link __asm__("x30") = word;
    __asm__("hint 27" : "+r"(link)); /* paciasp */
    return link;
}

#else

static uintptr_t sign(uintptr_t word)
{
    return word; /* nothing signs addresses here */
}

#endif

static void test_culprit_signed_address_is_read_without_its_signature(void **state)
{
    /* Code built with -mbranch-protection keeps signed addresses on its stack. */
    (void)state;
    const uintptr_t word = plain_address(call_directly());
    assert_int_equal(plain_address(sign(word)), word);
    assert_true(looks_like_return(plain_address(sign(word))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_culprit_return_addresses_are_seen),
        cmocka_unit_test(test_culprit_other_words_are_passed_over),
        cmocka_unit_test(test_culprit_calls_are_told_from_other_instructions),
        cmocka_unit_test(test_culprit_signed_address_is_read_without_its_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
