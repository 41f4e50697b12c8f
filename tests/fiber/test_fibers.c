/*
 * test_fibers.c - a loop's cache: which fiber comes next, how many are kept, where the rest goes.
 */
#include "fixture.h"

static struct whorl__fiber_pool *default_pool(struct rig *rig)
{
    return &rig->fibers.pools[whorl__stack_class(0)];
}

static struct whorl__stacks_info info_of(struct rig *rig)
{
    struct whorl__stacks_info info;
    whorl__stacks_info(rig->stacks, &info);
    return info;
}

static size_t length(const struct whorl__fiber *list)
{
    size_t count = 0;
    for (; list != NULL; list = list->next) {
        count++;
    }
    return count;
}

static void count_turn(struct job *job)
{
    job->turns++;
}

enum { MANY = 200 };

/* All of them have run, so that their contexts hold what sanitizers attach to one. */
static void get_many(struct rig *rig, struct whorl__fiber *fibers[], struct job *job, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fibers[i]), 0);
        assign(rig, fibers[i], job, count_turn);
        resume(job);
    }
}

static void put_many(struct rig *rig, struct whorl__fiber *fibers[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(rig, fibers[i]);
    }
}

static void test_fiber_put_last_is_got_first(void **state)
{
    /* The warmest stack is the one in the CPU's caches; touching a new page costs microseconds. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[3];
    struct whorl__fiber *again = NULL;
    struct job job = {0};
    get_many(rig, fibers, &job, 3);
    put_many(rig, fibers, 3);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &again), 0);
        assert_ptr_equal(again, fibers[i]);
    }
    put_many(rig, fibers, 3);
}

static void test_fiber_never_run_can_be_put_and_got_again(void **state)
{
    /* A task cancelled before its first step: the fiber has a context and no past. TSan crashes
     * when told to destroy a fiber that never ran. */
    struct rig *rig = *state;
    struct whorl__fiber *fiber = NULL;
    struct job job = {0};
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fiber), 0);
    put(rig, fiber);
    get(rig, &job, count_turn);
    assert_ptr_equal(job.self, fiber);
    resume(&job);
    assert_int_equal(job.turns, 1);
    put(rig, fiber);
    whorl__fibers_trim(&rig->fibers);
    whorl__stacks_trim(rig->stacks);
    assert_null(fiber->sp);
}

static void test_cache_over_its_limit_lets_the_coldest_go(void **state)
{
    /* Bounded memory, and of the fibers the loop still has, the warmest. */
    enum { KEPT = 150 };
    struct rig *rig = *state;
    struct whorl__fiber_pool *pool = default_pool(rig);
    struct whorl__fiber *fibers[MANY];
    struct whorl__fiber *again = NULL;
    struct job job = {0};
    pool->kept_max = KEPT;
    get_many(rig, fibers, &job, MANY);
    put_many(rig, fibers, MANY);
    assert_true(pool->kept <= KEPT);
    assert_true(pool->kept >= KEPT / 2);
    assert_int_equal(length(pool->warm) + length(pool->cool), pool->kept);
    assert_int_equal(pool->kept + length(pool->spare), info_of(rig).out);
    assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &again), 0);
    assert_ptr_equal(again, fibers[MANY - 1]);
    put(rig, again);
}

static void test_cache_emptied_by_gets_uses_all_it_kept(void **state)
{
    /* Cool fibers are colder than warm ones, and still warmer than new ones. */
    enum { KEPT = 40 };
    struct rig *rig = *state;
    struct whorl__fiber_pool *pool = default_pool(rig);
    struct whorl__fiber *fibers[MANY];
    struct job job = {0};
    pool->kept_max = KEPT;
    get_many(rig, fibers, &job, KEPT + 1);
    const size_t slabs = info_of(rig).slabs;
    put_many(rig, fibers, KEPT + 1);
    const size_t kept = pool->kept;
    get_many(rig, fibers, &job, kept);
    assert_int_equal(pool->kept, 0);
    assert_null(pool->warm);
    assert_null(pool->cool);
    assert_int_equal(info_of(rig).slabs, slabs);
    put_many(rig, fibers, kept);
}

static void test_fibers_got_here_and_put_there_come_round(void **state)
{
    /* One loop accepts, others finish: stacks have to find their way back, or memory grows. */
    enum { ROUNDS = 40, KEPT = 100 };
    struct rig *rig = *state;
    struct whorl__fibers elsewhere;
    struct whorl__fiber *fibers[MANY];
    struct job job = {0};
    whorl__fibers_init(&elsewhere, rig->stacks, entry);
    elsewhere.pools[whorl__stack_class(0)].kept_max = KEPT;
    for (int round = 0; round < ROUNDS; round++) {
        get_many(rig, fibers, &job, MANY);
        for (int i = 0; i < MANY; i++) {
            whorl__fibers_put(&elsewhere, fibers[i]);
        }
    }
    assert_int_equal(job.turns, ROUNDS * MANY);
    const struct whorl__stacks_info info = info_of(rig);
    assert_true(info.out + info.shelved <= 3 * MANY);
    whorl__fibers_fini(&elsewhere);
}

static void test_cache_trimmed_gives_everything_back(void **state)
{
    /* A loop that goes to sleep for long keeps nothing, of any size. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[3];
    const size_t sizes[3] = {WHORL_STACK_MIN, 0, (size_t)1 << 20};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, sizes[i], &fibers[i]), 0);
    }
    put_many(rig, fibers, 3);
    assert_true(info_of(rig).out > 0);
    whorl__fibers_trim(&rig->fibers);
    assert_int_equal(info_of(rig).out, 0);
}

static void test_fibers_at_different_places_of_the_page(void **state)
{
    /* Were all tops alike, the hot lines of all stacks would share few sets of the CPU's caches. */
    struct rig *rig = *state;
    struct whorl__fiber *fibers[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(whorl__fibers_get(&rig->fibers, 0, &fibers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < i; k++) {
            const uintptr_t one = (uintptr_t)fibers[i]->sp % 4096;
            const uintptr_t other = (uintptr_t)fibers[k]->sp % 4096;
            assert_int_not_equal(one / WHORL_CACHE_LINE, other / WHORL_CACHE_LINE);
        }
    }
    put_many(rig, fibers, 8);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_fiber_put_last_is_got_first),
        WITH_RIG(test_fiber_never_run_can_be_put_and_got_again),
        WITH_RIG(test_cache_over_its_limit_lets_the_coldest_go),
        WITH_RIG(test_cache_emptied_by_gets_uses_all_it_kept),
        WITH_RIG(test_fibers_got_here_and_put_there_come_round),
        WITH_RIG(test_cache_trimmed_gives_everything_back),
        WITH_RIG(test_fibers_at_different_places_of_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
