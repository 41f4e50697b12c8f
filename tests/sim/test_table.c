/*
 * test_table.c - the simulated table of the system is complete: an entry that is added to sys/os.h
 * and forgotten in sim/table.c would be a call to nowhere, by a seed that nobody has tried yet.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_table_every_entry_is_there(void **state)
{
    /* As tests/sys/test_os.c asks it of the real one. */
    void (*entries[sizeof(struct whorl__os) / sizeof(void (*)(void))])(void);
    (void)state;
    memcpy(entries, &whorl__sim_table, sizeof entries);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        assert_true(entries[i] != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_every_entry_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
