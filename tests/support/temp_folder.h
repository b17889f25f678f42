/* tests/support/temp_folder.h: a folder of the machine for one test. */
#ifndef TESTS_SUPPORT_TEMP_FOLDER_H
#define TESTS_SUPPORT_TEMP_FOLDER_H

enum { TEMP_FOLDER_SIZE = 256 };

/* Makes one below TMPDIR, or /tmp, and puts its path into PATH. That it cannot be made is a broken
 * invariant. */
void temp_folder_make(char path[TEMP_FOLDER_SIZE]);

/* Removes it with all that is in it. */
void temp_folder_remove(const char *path);

#endif
