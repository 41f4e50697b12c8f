/*
 * tree.h - a folder of one's own that stands for the root of a file system.
 */
#ifndef WHORL_TESTS_SUPPORT_TREE_H
#define WHORL_TESTS_SUPPORT_TREE_H

/* An empty folder, named by the result; NULL where none could be made. */
char *tree_make(void);

/* Removes the folder with all that is in it, and frees its name. NULL is fine. */
void tree_remove(char *root);

/* Writes a file below the root, making the folders on the way. The test fails where it cannot. */
void tree_write(const char *root, const char *path, const char *text);

#endif
