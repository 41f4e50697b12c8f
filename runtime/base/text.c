/*
 * text.c - numbers and moments in figures.
 *
 * Owns:       nothing.
 * Threads:    see text.h.
 */
#include "base/text.h"

#include "base/assert.h"

#include <string.h>

#define DIGITS_MAX        20 /* of 2^64 */
#define NS_A_SECOND       1000000000
#define NS_A_MILLISECOND  1000000
#define SECONDS_A_DAY     86400
#define DAYS_OF_400_YEARS 146097

void whorl__text_char(struct whorl__text *text, char character)
{
    if (text->length == text->size && text->full != NULL) {
        text->full(text);
    }
    if (text->length < text->size) {
        text->bytes[text->length++] = character;
    }
}

void whorl__text_string(struct whorl__text *text, const char *string)
{
    while (*string != '\0') {
        whorl__text_char(text, *string++);
    }
}

static void put_byte_in_hex(struct whorl__text *text, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    whorl__text_string(text, "\\x");
    whorl__text_char(text, digits[byte / 16]);
    whorl__text_char(text, digits[byte % 16]);
}

void whorl__text_quoted(struct whorl__text *text, const char *string)
{
    whorl__text_char(text, '"');
    for (; *string != '\0'; string++) {
        const unsigned char byte = (unsigned char)*string;
        if (byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f) {
            put_byte_in_hex(text, byte);
        } else {
            whorl__text_char(text, *string);
        }
    }
    whorl__text_char(text, '"');
}

/* Writes the digits to the end of `digits`; returns how many. */
static unsigned convert(uint64_t number, unsigned base, char digits[DIGITS_MAX])
{
    unsigned count = 0;
    do {
        const unsigned digit = (unsigned)(number % base);
        digits[DIGITS_MAX - ++count] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        number /= base;
    } while (number != 0);
    WHORL_ASSERT(count <= DIGITS_MAX);
    return count;
}

static void put_number(struct whorl__text *text, uint64_t number, unsigned base, char filler,
                       unsigned width)
{
    char digits[DIGITS_MAX];
    const unsigned count = convert(number, base, digits);
    for (unsigned i = count; i < width; i++) {
        whorl__text_char(text, filler);
    }
    for (unsigned i = DIGITS_MAX - count; i < DIGITS_MAX; i++) {
        whorl__text_char(text, digits[i]);
    }
}

void whorl__text_number(struct whorl__text *text, uint64_t number)
{
    put_number(text, number, 10, ' ', 0);
}

void whorl__text_hex(struct whorl__text *text, uint64_t number)
{
    whorl__text_string(text, "0x");
    put_number(text, number, 16, ' ', 0);
}

void whorl__text_digits(struct whorl__text *text, uint64_t number, unsigned digits)
{
    put_number(text, number, 10, '0', digits);
}

void whorl__text_word_column(struct whorl__text *text, const char *word, unsigned width)
{
    whorl__text_string(text, word);
    for (size_t length = strlen(word); length < width; length++) {
        whorl__text_char(text, ' ');
    }
}

void whorl__text_number_column(struct whorl__text *text, uint64_t number, unsigned width)
{
    put_number(text, number, 10, ' ', width);
}

void whorl__text_seconds(struct whorl__text *text, int64_t duration_ns)
{
    uint64_t length_ns = (uint64_t)duration_ns;
    if (duration_ns < 0) {
        whorl__text_char(text, '-');
        length_ns = -length_ns;
    }
    whorl__text_number(text, length_ns / NS_A_SECOND);
    whorl__text_char(text, '.');
    whorl__text_digits(text, length_ns % NS_A_SECOND / NS_A_MILLISECOND, 3);
    whorl__text_char(text, 's');
}

/*
 * The day of the Gregorian calendar, by counting from 1 March of year 0, so that a leap day is the
 * last of its year: 400 years have 146097 days, and five months in turn have 153.
 */
static void put_day(struct whorl__text *text, uint64_t days_since_1970)
{
    const uint64_t days = days_since_1970 + 719468;
    const uint64_t of_era = days % DAYS_OF_400_YEARS;
    const uint64_t year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint64_t march_month = (5 * of_year + 2) / 153;
    const uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    const uint64_t year = year_of_era + days / DAYS_OF_400_YEARS * 400 + (month <= 2);
    whorl__text_digits(text, year, 4);
    whorl__text_char(text, '-');
    whorl__text_digits(text, month, 2);
    whorl__text_char(text, '-');
    whorl__text_digits(text, of_year - (153 * march_month + 2) / 5 + 1, 2);
}

void whorl__text_moment(struct whorl__text *text, int64_t seconds, int64_t nanoseconds)
{
    const uint64_t since = seconds < 0 ? 0 : (uint64_t)seconds;
    const uint64_t of_day = since % SECONDS_A_DAY;
    put_day(text, since / SECONDS_A_DAY);
    whorl__text_char(text, 'T');
    whorl__text_digits(text, of_day / 3600, 2);
    whorl__text_char(text, ':');
    whorl__text_digits(text, of_day / 60 % 60, 2);
    whorl__text_char(text, ':');
    whorl__text_digits(text, of_day % 60, 2);
    whorl__text_char(text, '.');
    whorl__text_digits(text, (uint64_t)nanoseconds / NS_A_MILLISECOND, 3);
    whorl__text_char(text, 'Z');
}
