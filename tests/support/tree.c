/*
 * tree.c - a folder of one's own that stands for the root of a file system.
 */
#include "support/tree.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

char *tree_make(void)
{
    const char *parent = getenv("TMPDIR");
    char *name;
    if (asprintf(&name, "%s/whorl-tree-XXXXXX", parent ? parent : P_tmpdir) < 0) {
        return NULL;
    }
    if (!mkdtemp(name)) {
        free(name);
        return NULL;
    }
    return name;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void tree_remove(char *root)
{
    if (root) {
        (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    free(root);
}

void tree_write(const char *root, const char *path, const char *text)
{
    char full[PATH_MAX];
    assert_true((size_t)snprintf(full, sizeof full, "%s%s", root, path) < sizeof full);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); ++slash) {
        *slash = '\0';
        (void)mkdir(full, 0700); /* it may be there already; fopen will tell */
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}
