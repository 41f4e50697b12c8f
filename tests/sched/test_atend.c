/*
 * test_atend.c - what is to be done at the end of a runtime: when, in which order, how often.
 */
#include "sched/sched.h"
#include "support/play.h"

/* Letters in the order in which things were done. */
struct entry {
    struct whorl__at_end at_end;
    struct whorl__runtime *runtime;
    struct notes *notes;
    struct entry *adds; /* while it is called */
    char letter;
};

struct notes {
    char text[16];
    bool on_loop; /* a function was called by a loop */
    bool ended;   /* plain: by the leftover task, read by the functions */
    bool early;   /* a function was called before that */
    bool removed[2];
    struct entry entries[5];
};

static void be_called(struct whorl__at_end *self)
{
    struct entry *const entry = whorl_container_of(self, struct entry, at_end);
    struct notes *const notes = entry->notes;
    notes->text[strlen(notes->text)] = entry->letter;
    notes->on_loop |= whorl__loop_current() != NULL;
    notes->early |= !notes->ended;
    if (entry->adds != NULL) {
        whorl__at_end_add(entry->runtime, WHORL__AT_END_GENERATORS, &entry->adds->at_end);
    }
}

static struct entry *fill(struct notes *notes, int index, char letter)
{
    struct entry *const entry = &notes->entries[index];
    *entry = (struct entry){.at_end = {.function = be_called},
                            .runtime = whorl_task_current()->runtime,
                            .notes = notes,
                            .letter = letter};
    whorl__list_init(&entry->at_end.link);
    return entry;
}

static void add(struct notes *notes, int index, char letter, enum whorl__at_end_stage stage)
{
    whorl__at_end_add(whorl_task_current()->runtime, stage, &fill(notes, index, letter)->at_end);
}

static int take_time_to_end(void *arg)
{
    struct notes *const notes = arg;
    (void)wait_for_ever();
    for (int i = 0; i < 10; i++) {
        must(whorl_yield());
    }
    notes->ended = true;
    return 0;
}

static int register_several(void *arg)
{
    struct notes *const notes = arg;
    struct whorl__runtime *const runtime = whorl_task_current()->runtime;
    must(whorl_spawn(take_time_to_end, notes, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        must(whorl_yield());
    }
    add(notes, 0, 'p', WHORL__AT_END_POOLS);
    add(notes, 1, 'g', WHORL__AT_END_GENERATORS);
    add(notes, 2, 'x', WHORL__AT_END_GENERATORS);
    add(notes, 3, 'h', WHORL__AT_END_GENERATORS);
    notes->entries[3].adds = fill(notes, 4, 'l');
    notes->removed[0] = whorl__at_end_remove(runtime, &notes->entries[2].at_end);
    notes->removed[1] = whorl__at_end_remove(runtime, &notes->entries[2].at_end);
    return 0;
}

static void test_run_6_generators_then_pools_after_the_last_task(void **state)
{
    /* The newest first; one that was removed never; one that is added meanwhile in its stage. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.text = ""};
        assert_int_equal(play(loops, register_several, &notes), 0);
        assert_string_equal(notes.text, "hlgp");
        assert_false(notes.on_loop);
        assert_true(loops > 1 || !notes.early);
        assert_true(notes.removed[0]);
        assert_false(notes.removed[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_6_generators_then_pools_after_the_last_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
