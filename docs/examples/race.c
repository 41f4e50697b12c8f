/* race.c - a race that one run in hundreds shows, found by simulation: docs/guide/simulation.md */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <whorl.h>

static int balance;
static int reserve_first; /* the bug, mended */

/* Asks the bank, which takes a while. The balance was looked at before. */
static int withdraw(void *arg)
{
    const int amount = (int)(intptr_t)arg;
    if (balance < amount) {
        return 0;
    }
    if (reserve_first) {
        balance -= amount;
    }
    whorl_sleep((int64_t)(whorl_sim_random() % 300) * WHORL_MICROSECOND);
    if (!reserve_first) {
        balance -= amount;
    }
    return 0;
}

static int one_day(void *arg)
{
    struct whorl_task *customers[8];
    (void)arg;
    balance = 100;
    for (int i = 0; i < 8; i++) {
        whorl_sleep((int64_t)(whorl_sim_random() % 100) * WHORL_MILLISECOND);
        if (whorl_spawn(withdraw, (void *)(intptr_t)20, NULL, &customers[i]) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < 8; i++) {
        whorl_await(customers[i], NULL);
        whorl_task_unref(customers[i]);
    }
    if (balance < 0) {
        whorl_sim_fail("more was paid out than was there");
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct whorl_sim_options options = {.runtime = {.loops = 4}};
    uint64_t tried;
    reserve_first = argc > 1 && strcmp(argv[1], "mended") == 0;
    const int error = whorl_sim_explore(1, 3000, &options, one_day, NULL, &tried);
    printf("%d seeds, %s\n", (int)tried, error == 0 ? "all fine" : "the last one failed");
    return error != 0;
}
