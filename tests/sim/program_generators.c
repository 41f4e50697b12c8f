/*
 * program_generators.c - tasks ask the same generators for items, throw into them, close them, drop
 * them, and are cancelled in the middle of it.
 *
 * A body is inside one task at a time, begins at most once, and ends if it has begun, by the end of
 * the runtime at the latest; its argument is freed once, behind its end. Its items come in their
 * order, each to one asker, and none after its end.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define GENERATORS_MAX 5
#define ASKERS_MAX     8
#define PLAIN_MAX      3

struct source {
    struct whorl_generator *generator; /* the world's reference; NULL: dropped */
    unsigned begun;
    unsigned ended;
    unsigned freed;
    bool inside;
    bool over;     /* an asker was told so */
    unsigned given; /* items that the body has yielded */
    unsigned taken; /* and that askers got */
    unsigned length;
};

static struct {
    struct source sources[GENERATORS_MAX];
    unsigned count;
    unsigned plain; /* threads that have not ended */
} world;

static const char sent_mark;

/* ---- the body ---- */

static void *item_of(struct source *source)
{
    return (void *)(uintptr_t)++source->given;
}

/* What the body does between two items: it may wait, and be cancelled there. */
static int work_inside(struct source *source)
{
    expect(!source->inside);
    source->inside = true;
    const int error = dawdle();
    expect(source->inside);
    source->inside = false;
    return error == -ENOMEM ? 0 : error;
}

static void clean_up(struct source *source)
{
    (void)work_inside(source);
    source->ended++;
}

static int produce(void *arg)
{
    struct source *const source = arg;
    int error = 0;
    expect(source->begun == 0 && source->freed == 0);
    source->begun++;
    for (unsigned i = 0; error == 0 && i < source->length; i++) {
        void *sent = NULL;
        error = work_inside(source);
        if (error == -ECANCELED && draw(2) == 0) {
            error = 0; /* one that goes on */
        }
        if (error == 0) {
            error = whorl_generator_yield(item_of(source), &sent);
            expect(error != 0 || sent == NULL || sent == &sent_mark);
        }
    }
    clean_up(source);
    return error;
}

static void free_source(void *arg)
{
    struct source *const source = arg;
    expect(source->freed == 0 && source->begun == source->ended);
    source->freed++;
}

/* ---- asking ---- */

static bool is_known(int error)
{
    return error == 0 || error == -ENODATA || error == -EBUSY || error == -ECANCELED ||
           error == -EIO || error == -EINVAL || error == -ESHUTDOWN;
}

static void take_item(struct source *source, bool was_over, int error, void *item)
{
    expect(is_known(error));
    if (error == 0) {
        expect(!was_over);
        expect((unsigned)(uintptr_t)item == source->given); /* nobody was in it since */
        source->taken++;
        expect(source->taken == source->given);
    } else if (error == -ENODATA) {
        source->over = true;
    }
}

static void ask(struct source *source, struct whorl_generator *generator)
{
    const bool was_over = source->over;
    void *item = NULL;
    int error;
    switch (draw(8)) {
    case 0:
        error = whorl_generator_throw(generator, -EIO, &item);
        break;
    case 1:
        error = whorl_generator_send(generator, (void *)(uintptr_t)&sent_mark, &item);
        break;
    case 2:
        error = draw(3) == 0 ? whorl_generator_close(generator) : -EBUSY;
        expect(is_known(error) && error != -ENODATA);
        return;
    default:
        error = whorl_generator_next(generator, &item);
        break;
    }
    take_item(source, was_over, error, item);
}

static struct source *draw_source(void)
{
    return &world.sources[draw(world.count)];
}

/* With a reference of its own while it is inside. */
static void ask_some(struct source *source)
{
    struct whorl_generator *const generator = whorl_generator_ref(source->generator);
    const unsigned count = 1 + draw(4);
    for (unsigned i = 0; generator != NULL && i < count; i++) {
        ask(source, generator);
        (void)dawdle();
    }
    whorl_generator_unref(generator); /* it may be the last */
}

static void drop(struct source *source)
{
    struct whorl_generator *const generator = source->generator;
    source->generator = NULL;
    whorl_generator_unref(generator);
}

static int be_asker(void *arg)
{
    const unsigned count = 1 + draw(6);
    (void)arg;
    for (unsigned i = 0; i < count && dawdle() != -ECANCELED; i++) {
        struct source *const source = draw_source();
        if (draw(8) == 0) {
            drop(source);
        } else {
            ask_some(source);
        }
    }
    return 0;
}

/* A plain thread may ask for nothing, but the last reference may be its. */
static int be_plain(void *arg)
{
    (void)arg;
    struct source *const source = draw_source();
    struct whorl_generator *const generator = whorl_generator_ref(source->generator);
    expect(whorl_sim_block(draw(500) * WHORL_MICROSECOND) == 0);
    if (generator != NULL) {
        expect(whorl_generator_next(generator, NULL) == -EPERM);
    }
    if (draw(2) == 0) {
        drop(source);
    }
    whorl_generator_unref(generator);
    world.plain--;
    return 0;
}

/* ---- the run ---- */

static void make_sources(void)
{
    const struct whorl_generator_attr attr = {.name = "source", .arg_free = free_source};
    world.count = 1 + draw(GENERATORS_MAX);
    for (unsigned i = 0; i < world.count; i++) {
        struct source *const source = &world.sources[i];
        source->length = draw(8);
        expect(whorl_generator_new(produce, source, &attr, &source->generator) == 0);
    }
}

static void see_off_askers(struct whorl_task *const *askers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)dawdle();
        if (draw(3) == 0) {
            (void)whorl_cancel(askers[i], "no more");
        }
    }
    const bool closes = draw(3) == 0;
    if (closes) {
        expect(whorl_generators_close() == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        const int error = whorl_await(askers[i], NULL);
        expect(error == 0 || error == -ECANCELED);
        whorl_task_unref(askers[i]);
    }
}

static int main_task(void *arg)
{
    struct whorl_task *askers[ASKERS_MAX];
    struct whorl_sim_thread *threads[PLAIN_MAX];
    (void)arg;
    memset(&world, 0, sizeof world);
    make_sources();
    const unsigned count = 1 + draw(ASKERS_MAX);
    const unsigned plain = draw(PLAIN_MAX + 1);
    world.plain = plain;
    for (unsigned i = 0; i < plain; i++) {
        expect(whorl_sim_thread_start(be_plain, NULL, &threads[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        askers[i] = spawn_surely(be_asker, NULL, NULL);
    }
    see_off_askers(askers, count);
    while (world.plain > 0) {
        (void)whorl_sleep(100 * WHORL_MICROSECOND);
    }
    for (unsigned i = 0; i < plain; i++) {
        expect(whorl_sim_thread_join(threads[i]) == 0);
    }
    for (unsigned i = 0; i < world.count; i++) {
        drop(&world.sources[i]);
    }
    return 0;
}

static int check_after(void)
{
    bool sound = true;
    for (unsigned i = 0; i < world.count; i++) {
        const struct source *const source = &world.sources[i];
        sound = sound && source->begun <= 1 && source->begun == source->ended &&
                source->freed == 1 && !source->inside && source->taken <= source->given;
    }
    return sound ? 0 : -EPROTO;
}

/* The end of a runtime that has no memory for a closer drops the body where it stands. */
const struct program program_generators = {
    .name = "generators",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
    .after = check_after,
};
