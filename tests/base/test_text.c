/*
 * test_text.c - what base/text.c writes, against snprintf and gmtime_r; and full buffers.
 */
#include "base/text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct page {
    struct whorl__text text;
    char bytes[128];
};

static struct page *fresh(struct page *page)
{
    *page = (struct page){.text = {.bytes = page->bytes, .size = sizeof page->bytes - 1}};
    return page;
}

#define assert_page(page, expected)                                                                \
    do {                                                                                           \
        (page)->bytes[(page)->text.length] = '\0';                                                 \
        assert_string_equal((page)->bytes, expected);                                              \
        (page)->text.length = 0;                                                                   \
    } while (0)

static void test_text_numbers_are_those_of_printf(void **state)
{
    (void)state;
    struct page page;
    char expected[64];
    uint64_t number = 1;
    fresh(&page);
    for (int i = 0; i < 64; i++, number = number * 3 + (uint64_t)i) {
        whorl__text_number(&page.text, number);
        snprintf(expected, sizeof expected, "%" PRIu64, number);
        assert_page(&page, expected);
        whorl__text_hex(&page.text, number);
        snprintf(expected, sizeof expected, "%#" PRIx64, number);
        assert_page(&page, expected);
        whorl__text_number_column(&page.text, number, 12);
        snprintf(expected, sizeof expected, "%12" PRIu64, number);
        assert_page(&page, expected);
        whorl__text_digits(&page.text, number, 4);
        snprintf(expected, sizeof expected, "%04" PRIu64, number);
        assert_page(&page, expected);
    }
    whorl__text_number(&page.text, 0);
    assert_page(&page, "0");
    whorl__text_number(&page.text, UINT64_MAX);
    assert_page(&page, "18446744073709551615");
}

static void test_text_seconds_have_a_sign_and_three_decimals(void **state)
{
    (void)state;
    struct page page;
    fresh(&page);
    whorl__text_seconds(&page.text, 0);
    assert_page(&page, "0.000s");
    whorl__text_seconds(&page.text, 1001999999);
    assert_page(&page, "1.001s");
    whorl__text_seconds(&page.text, -50000000);
    assert_page(&page, "-0.050s");
    whorl__text_seconds(&page.text, INT64_MIN);
    assert_page(&page, "-9223372036.854s");
}

static void test_text_moments_are_those_of_gmtime(void **state)
{
    /* Leap days, ends of years and centuries, and moments a prime number of seconds apart. */
    (void)state;
    struct page page;
    fresh(&page);
    for (int64_t seconds = 0; seconds < INT64_C(16725225600); seconds += 86399 * 7) { /* 2500 */
        const time_t moment = (time_t)seconds;
        struct tm parts;
        char expected[64];
        assert_non_null(gmtime_r(&moment, &parts));
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.042Z", &parts);
        whorl__text_moment(&page.text, seconds, 42999999);
        assert_page(&page, expected);
    }
}

static void test_text_quoted_words_stay_on_their_line(void **state)
{
    (void)state;
    struct page page;
    fresh(&page);
    whorl__text_quoted(&page.text, "plain, t\303\244sk");
    assert_page(&page, "\"plain, t\303\244sk\"");
    whorl__text_quoted(&page.text, "a\"b\\c\nd\x7f");
    assert_page(&page, "\"a\\x22b\\x5cc\\x0ad\\x7f\"");
}

static void test_text_words_stand_in_columns(void **state)
{
    (void)state;
    struct page page;
    fresh(&page);
    whorl__text_word_column(&page.text, "ab", 4);
    whorl__text_word_column(&page.text, "abcde", 4);
    assert_page(&page, "ab  abcde");
}

/* ---- full ---- */

struct drain {
    struct whorl__text text;
    char bytes[4];
    char taken[64];
    size_t taken_count;
};

static void drain(struct whorl__text *text)
{
    struct drain *const drain = whorl_container_of(text, struct drain, text);
    memcpy(drain->taken + drain->taken_count, text->bytes, text->length);
    drain->taken_count += text->length;
    text->length = 0;
}

static void test_text_full_bytes_are_taken_away_or_left_out(void **state)
{
    (void)state;
    struct page page;
    struct drain small = {.text = {.size = sizeof small.bytes, .full = drain}};
    small.text.bytes = small.bytes;
    whorl__text_string(&small.text, "one two three");
    drain(&small.text);
    assert_string_equal(small.taken, "one two three");
    fresh(&page)->text.size = 5;
    whorl__text_string(&page.text, "one two three");
    assert_page(&page, "one t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_numbers_are_those_of_printf),
        cmocka_unit_test(test_text_seconds_have_a_sign_and_three_decimals),
        cmocka_unit_test(test_text_moments_are_those_of_gmtime),
        cmocka_unit_test(test_text_quoted_words_stay_on_their_line),
        cmocka_unit_test(test_text_words_stand_in_columns),
        cmocka_unit_test(test_text_full_bytes_are_taken_away_or_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
