/*
 * sites.c - the places in the source that call an operation, their names, and weakening one.
 *
 * Owns:       the number of each record; which of them is weakened.
 * Invariant:  a name survives a shift of lines: file:function#n, where n counts the operations of
 *             the function from its top. A function in a header has a record in each file that
 *             includes it; they share a number and are weakened together.
 */
#include "model/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITES_MAX = 4096, KEY_MAX = 160 };

extern struct whorl__site __start_whorl_sites[] __attribute__((weak));
extern struct whorl__site __stop_whorl_sites[] __attribute__((weak));

static struct whorl__site *sorted[SITES_MAX];
static unsigned record_count;
static struct whorl__site *firsts[SITES_MAX]; /* by number: one of the records that share it */
static char keys[SITES_MAX][KEY_MAX];
static unsigned number_count;
static int mutant = -1;

const char *sites_op_name(unsigned op)
{
    static const char *const names[] = {"load",       "store",       "cas",       "swap",
                                        "add",        "or",          "and",       "fence",
                                        "plain read", "plain write", "plain copy"};
    return names[op];
}

const char *sites_order_name(unsigned order)
{
    static const char *const names[] = {"relaxed", "acquire", "release", "acq_rel",
                                        "",        "",        "",        "full"};
    return names[order];
}

/* "lockfree/runqueue.c" of a longer path: the last folder and the name. */
const char *sites_short_file(const char *file)
{
    const char *slash = strrchr(file, '/');
    while (slash != NULL && slash > file && slash[-1] != '/') {
        slash--;
    }
    return slash != NULL ? slash : file;
}

static int compare_places(const struct whorl__site *a, const struct whorl__site *b)
{
    int order = strcmp(sites_short_file(a->file), sites_short_file(b->file));
    order = order != 0 ? order : strcmp(a->function, b->function);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int compare(const void *left, const void *right)
{
    const struct whorl__site *const a = *(struct whorl__site *const *)left;
    const struct whorl__site *const b = *(struct whorl__site *const *)right;
    int order = compare_places(a, b);
    order = order != 0 ? order : (a->op > b->op) - (a->op < b->op);
    order = order != 0 ? order : (a->order > b->order) - (a->order < b->order);
    return order != 0 ? order : strcmp(a->field, b->field);
}

static bool same_function(const struct whorl__site *a, const struct whorl__site *b)
{
    return strcmp(sites_short_file(a->file), sites_short_file(b->file)) == 0 &&
           strcmp(a->function, b->function) == 0;
}

static bool is_operation(const struct whorl__site *site)
{
    return site->op < WHORL__OP_PLAIN_READ;
}

static void add_number(struct whorl__site *site, unsigned ordinal)
{
    firsts[number_count] = site;
    (void)snprintf(keys[number_count], KEY_MAX, "%s:%s#%u", sites_short_file(site->file),
                   site->function, ordinal);
    number_count++;
}

/* The engine's own operations, in os.c, are the kernel's: no library code. */
static bool is_engine(const struct whorl__site *site)
{
    return strstr(site->file, "model/engine/") != NULL;
}

void sites_number(void)
{
    for (struct whorl__site *site = __start_whorl_sites; site < __stop_whorl_sites; site++) {
        if (is_operation(site) && !is_engine(site)) {
            WHORL_CHECK(record_count < SITES_MAX, "more operations than the checker has room for");
            sorted[record_count++] = site;
        }
    }
    qsort(sorted, record_count, sizeof(sorted[0]), compare);
    unsigned ordinal = 0;
    for (unsigned i = 0; i < record_count; i++) {
        const bool twin = i > 0 && compare(&sorted[i - 1], &sorted[i]) == 0;
        ordinal = i > 0 && same_function(sorted[i - 1], sorted[i]) ? ordinal + !twin : 1;
        if (!twin) {
            add_number(sorted[i], ordinal);
        }
        sorted[i]->number = number_count - 1;
    }
}

static uint64_t times_reached(unsigned number)
{
    uint64_t times = 0;
    for (unsigned i = 0; i < record_count; i++) {
        times += sorted[i]->number == number ? sorted[i]->reached : 0;
    }
    return times;
}

/* The kinds of mutants that a site has: weaker orders, by the bits that are left. */
static unsigned weaker_orders(const struct whorl__site *site, unsigned *ret_orders)
{
    unsigned count = 0;
    switch (site->order) {
    case WHORL__ORDER_FULL:
        ret_orders[count++] = WHORL__ORDER_ACQ_REL;
        break;
    case WHORL__ORDER_ACQ_REL:
        ret_orders[count++] = WHORL__ORDER_ACQUIRE;
        ret_orders[count++] = WHORL__ORDER_RELEASE;
        break;
    default:
        break;
    }
    if (site->order != WHORL__ORDER_RELAXED) {
        ret_orders[count++] = WHORL__ORDER_RELAXED;
    }
    return count;
}

void sites_list(void)
{
    for (unsigned i = 0; i < number_count; i++) {
        const struct whorl__site *const site = firsts[i];
        unsigned orders[4];
        const unsigned count = weaker_orders(site, orders);
        const char *const file = sites_short_file(site->file);
        printf("site %s %s %s line %d reached %llu file %s\n", keys[i], sites_op_name(site->op),
               sites_order_name(site->order), site->line, (unsigned long long)times_reached(i),
               file);
        for (unsigned k = 0; k < count; k++) {
            printf("mutant %s:%s reached %llu\n", keys[i],
                   orders[k] == WHORL__ORDER_RELAXED && site->op == WHORL__OP_FENCE
                       ? "removed"
                       : sites_order_name(orders[k]),
                   (unsigned long long)times_reached(i));
        }
    }
}

static int find_key(const char *key, size_t length)
{
    for (unsigned i = 0; i < number_count; i++) {
        if (strlen(keys[i]) == length && strncmp(keys[i], key, length) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int order_by_name(const struct whorl__site *site, const char *name)
{
    unsigned orders[4];
    const unsigned count = weaker_orders(site, orders);
    for (unsigned i = 0; i < count; i++) {
        const bool removed = orders[i] == WHORL__ORDER_RELAXED && strcmp(name, "removed") == 0;
        if (removed || strcmp(sites_order_name(orders[i]), name) == 0) {
            return (int)orders[i];
        }
    }
    return -1;
}

bool sites_weaken(const char *text)
{
    const char *const kind = strrchr(text, ':');
    const bool has_kind = kind != NULL && strchr(kind, '#') == NULL;
    const size_t length = has_kind ? (size_t)(kind - text) : strlen(text);
    const int number = find_key(text, length);
    if (number < 0) {
        (void)fprintf(stderr, "no operation is called %.*s; --sites lists them\n", (int)length,
                      text);
        return false;
    }
    const int order = order_by_name(firsts[number], has_kind ? kind + 1 : "relaxed");
    if (order < 0) {
        (void)fprintf(stderr, "%.*s: has no weaker form called %s\n", (int)length, text,
                      has_kind ? kind + 1 : "relaxed");
        return false;
    }
    mutant = number;
    for (unsigned i = 0; i < record_count; i++) {
        if (sorted[i]->number == (uint32_t)number) {
            sorted[i]->weakened = (uint8_t)(1 + order);
        }
    }
    return true;
}

bool sites_mutant_reached(void)
{
    return mutant < 0 || times_reached((unsigned)mutant) > 0;
}
