/*
 * cxx.c - finds the C++ runtime, if the process has one.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Not chosen: linking to it: a C program would load a library it has no use for.
 */
#include "sys/cxx.h"

#include <dlfcn.h>
#include <string.h>

/* Resolved when the library is loaded after, or along with, a C++ runtime that everybody sees. */
__attribute__((weak)) void *__cxa_get_globals(void);

static whorl__cxx_here *find_in(const char *library)
{
    whorl__cxx_here *here = NULL;
    void *const handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL) {
        void *const address = dlsym(handle, "__cxa_get_globals");
        memcpy(&here, &address, sizeof here);
        (void)dlclose(handle); /* whoever loaded it keeps it */
    }
    return here;
}

whorl__cxx_here *whorl__cxx_find(void)
{
    if (__cxa_get_globals != NULL) {
        return (whorl__cxx_here *)__cxa_get_globals;
    }
    whorl__cxx_here *const here = find_in("libstdc++.so.6"); /* a plugin's, seen by nobody else */
    return here != NULL ? here : find_in("libc++abi.so.1");
}
