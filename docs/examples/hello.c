/* hello.c - two tasks greet at the same time; the second one runs on any loop that is idle. */
#include <stdio.h>
#include <whorl.h>

static int greet(void *name)
{
    printf("hello %s, from loop %d\n", (char *)name, whorl_loop_current());
    return whorl_sleep(WHORL_SECOND);
}

static int greet_both(void *arg)
{
    struct whorl_task *world;
    if (whorl_spawn(greet, "world", NULL, &world) == 0) {
        greet(arg);
        whorl_await(world, NULL);
        whorl_task_unref(world);
    }
    return 0;
}

int main(void)
{
    return whorl_run(greet_both, "core", NULL) < 0;
}
