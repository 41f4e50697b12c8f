#include <stdio.h>
#include <whorl.h>

static int greet(void *name)
{
    whorl_sleep(WHORL_SECOND);
    printf("hello %s, from loop %d\n", (char *)name, whorl_loop_current());
    return 0;
}

static int both(void *arg)
{
    int error = whorl_spawn(greet, "world", NULL, NULL);
    return error ? error : greet(arg);
}

int main(void)
{
    return whorl_run(both, "core", NULL) < 0;
}
