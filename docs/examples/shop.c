/* shop.c - data that tasks share, in four ways that are right: docs/guide/porting.md */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <whorl.h>

#define PIECES 1000
#define BUYERS (2 * PIECES)

struct shop {
    int stock;
};

static int sell_unsafely(void *arg)
{
    struct shop *const shop = arg;
    if (shop->stock == 0) {
        return -ENOENT;
    }
    shop->stock--; /* asyncio: nobody came in between */
    return whorl_sleep(WHORL_MILLISECOND);
}

static pthread_mutex_t shop_lock = PTHREAD_MUTEX_INITIALIZER;

static int sell(void *arg)
{
    struct shop *const shop = arg;
    pthread_mutex_lock(&shop_lock);
    const int left = shop->stock;
    shop->stock -= left > 0;
    pthread_mutex_unlock(&shop_lock); /* before anything that waits */
    return left > 0 ? whorl_sleep(WHORL_MILLISECOND) : -ENOENT;
}

static int spawn_anywhere(struct shop *shop, struct whorl_task **ret_task)
{
    return whorl_spawn(sell, shop, NULL, ret_task);
}

static int spawn_here(struct shop *shop, struct whorl_task **ret_task)
{
    return whorl_spawn(sell_unsafely, shop, NULL, ret_task);
}

static int spawn_pinned(struct shop *shop, struct whorl_task **ret_task)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(0)}; /* all that touch a shop */
    return whorl_spawn(sell_unsafely, shop, &attr, ret_task);
}

static int open_shop(void *spawn)
{
    struct shop shop = {.stock = PIECES};
    struct whorl_task *buyers[BUYERS];
    int count = 0;
    int sold = 0;
    int error = 0;
    while (count < BUYERS && error == 0) {
        error = (*(int (**)(struct shop *, struct whorl_task **))spawn)(&shop, &buyers[count]);
        count += error == 0;
    }
    for (int i = 0; i < count; i++) {
        sold += whorl_await(buyers[i], NULL) == 0;
        whorl_task_unref(buyers[i]);
    }
    printf("sold %d, left %d\n", sold, shop.stock);
    return error;
}

static struct whorl_strand shop_strand = WHORL_STRAND_INIT;

static int open_in_strand(void *arg)
{
    int error = whorl_strand_enter(&shop_strand); /* this task, and all that it spawns */
    return error != 0 ? error : open_shop(arg);
}

static int run_on_one_loop(whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = 1};
    return whorl_run(body, arg, &options);
}

int main(void)
{
    int (*spawn)(struct shop *, struct whorl_task **) = spawn_here;
    int error = run_on_one_loop(open_shop, &spawn);
    const struct whorl_options several = {.loops = 4};
    error = error == 0 ? whorl_run(open_in_strand, &spawn, &several) : error;
    spawn = spawn_pinned;
    error = error == 0 ? whorl_run(open_shop, &spawn, &several) : error;
    spawn = spawn_anywhere;
    error = error == 0 ? whorl_run(open_shop, &spawn, &several) : error;
    if (error != 0) {
        fprintf(stderr, "shop: %s\n", whorl_error_text(error));
    }
    return error == 0 ? 0 : 1;
}
