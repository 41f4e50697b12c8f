/*
 * Names and words for errors.
 */
#include "base/error.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_error_each_listed_code_has_its_name_and_text(void **state)
{
    /* The name must be what errno.h calls it, with either sign, and the C library must agree. */
    (void)state;
#define CHECK_WORDS(CODE, TEXT)                                                                    \
    assert_string_equal(whorl_error_name(-CODE), #CODE);                                           \
    assert_string_equal(whorl_error_name(CODE), strerrorname_np(CODE));                            \
    assert_string_equal(whorl_error_text(-CODE), TEXT);                                            \
    assert_string_equal(whorl_error_text(CODE), TEXT);                                             \
    assert_string_equal(whorl_strerror(-CODE), TEXT);
    WHORL_ERRORS(CHECK_WORDS)
#undef CHECK_WORDS
}

static void test_error_texts_are_all_different(void **state)
{
    /* A cancel, above all, is told by a text that no failure of I/O has. */
    (void)state;
#define TEXT_OF(CODE, TEXT) TEXT,
    static const char *const texts[] = {WHORL_ERRORS(TEXT_OF)};
#undef TEXT_OF
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(texts[i], texts[j]);
        }
    }
}

static void test_error_other_codes_fall_back_to_the_c_library(void **state)
{
    /* What the kernel says is passed on, so any errno may have to be printed. */
    (void)state;
    assert_string_equal(whorl_error_name(-EISDIR), "EISDIR");
    assert_string_equal(whorl_error_text(-EISDIR), strerrordesc_np(EISDIR));
}

static void test_error_success_and_nonsense_still_give_a_string(void **state)
{
    /* Both are printed with %s, whatever was passed. */
    (void)state;
    static const int nonsense[] = {-99999, 99999, INT_MAX, INT_MIN};
    assert_string_equal(whorl_error_name(0), "0");
    assert_string_equal(whorl_error_text(0), "success");
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        assert_string_equal(whorl_error_name(nonsense[i]), "E?");
        assert_string_equal(whorl_error_text(nonsense[i]), "unknown error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_each_listed_code_has_its_name_and_text),
        cmocka_unit_test(test_error_texts_are_all_different),
        cmocka_unit_test(test_error_other_codes_fall_back_to_the_c_library),
        cmocka_unit_test(test_error_success_and_nonsense_still_give_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
