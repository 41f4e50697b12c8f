/*
 * loader.c - calls locks_main of a shared object that it loads, and closes it, three times.
 *
 *   loader PATH LOOPS all|none
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int wrong = 0;
    for (int round = 0; round < 3 && argc == 4; round++) {
        void *const object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        void *const address = object != NULL ? dlsym(object, "locks_main") : NULL;
        if (address == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        wrong += ((int (*)(int, const char *))(uintptr_t)address)(atoi(argv[2]), argv[3]);
        dlclose(object);
        for (int i = 0; i < 100; i++) { /* nobody who is gone is asked */
            pthread_mutex_lock(&mutex);
            pthread_mutex_unlock(&mutex);
        }
    }
    return argc == 4 && wrong == 0 ? 0 : 1;
}
