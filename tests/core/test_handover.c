/* Secrets handed over through a named pipe. */
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tranship/handover.h"

static char folder[] = "/tmp/tranship-handover-XXXXXX";
static char path[64];

static int make_folder(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL)
    return -1;
  snprintf(path, sizeof path, "%s/inbox", folder);
  return 0;
}

static int drop_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

static void check_taken(tsh_inbox *inbox, const char *want) {
  tsh_secret *taken;
  tsh_err err;

  assert_int_equal(tsh_inbox_take(inbox, &taken, &err), 0);
  if (want == NULL) {
    assert_null(taken);
    return;
  }
  assert_non_null(taken);
  assert_int_equal(tsh_secret_length(taken), strlen(want));
  assert_memory_equal(tsh_secret_bytes(taken), want, strlen(want));
  tsh_secret_free(taken);
}

static void one_message_at_a_time(void **state) {
  tsh_inbox *inbox;
  struct stat seen;
  tsh_err err;

  (void)state;
  assert_int_equal(tsh_handover_give(path, "x", 1, &err), TSH_NOT_FOUND);
  assert_int_equal(tsh_inbox_open(&inbox, path, &err), 0);
  assert_int_equal(stat(path, &seen), 0);
  assert_int_equal(seen.st_mode & 0777, 0600);
  check_taken(inbox, NULL);
  assert_int_equal(tsh_handover_give(path, "hunter22", 8, &err), 0);
  assert_int_equal(tsh_handover_give(path, "more", 4, &err), TSH_CONFLICT);
  assert_true(err.retriable);
  check_taken(inbox, "hunter22");
  check_taken(inbox, NULL);
  assert_int_equal(tsh_handover_give(path, "more", 4, &err), 0);
  check_taken(inbox, "more");
  tsh_inbox_close(inbox);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(tsh_handover_give(path, "x", 1, &err), TSH_NOT_FOUND);
  tsh_inbox_close(NULL);
}

static void a_writer_at_work_is_waited_for(void **state) {
  tsh_inbox *inbox;
  tsh_err err;
  int fd;

  (void)state;
  assert_int_equal(tsh_inbox_open(&inbox, path, &err), 0);
  fd = open(path, O_WRONLY);
  assert_int_equal(write(fd, "in ", 3), 3);
  check_taken(inbox, NULL);
  assert_int_equal(write(fd, "parts", 5), 5);
  check_taken(inbox, NULL);
  close(fd);
  check_taken(inbox, "in parts");
  tsh_inbox_close(inbox);
}

static void what_is_too_large_is_refused(void **state) {
  static char large[TSH_HANDOVER_LARGEST + 1];
  tsh_secret *taken;
  tsh_inbox *inbox;
  tsh_err err;

  (void)state;
  memset(large, 'k', sizeof large);
  assert_int_equal(tsh_inbox_open(&inbox, path, &err), 0);
  assert_int_equal(tsh_handover_give(path, large, TSH_HANDOVER_LARGEST, &err),
                   0);
  assert_int_equal(tsh_inbox_take(inbox, &taken, &err), 0);
  assert_int_equal(tsh_secret_length(taken), TSH_HANDOVER_LARGEST);
  tsh_secret_free(taken);
  assert_int_equal(tsh_handover_give(path, large, sizeof large, &err),
                   TSH_LIMIT);
  tsh_inbox_close(inbox);
}

static void no_secret_gets_into_a_file(void **state) {
  tsh_inbox *inbox;
  struct stat seen;
  tsh_err err;
  int fd = open(path, O_WRONLY | O_CREAT, 0600);

  (void)state;
  close(fd);
  assert_int_equal(tsh_handover_give(path, "hunter22", 8, &err), TSH_EXISTS);
  assert_int_equal(tsh_inbox_open(&inbox, path, &err), TSH_EXISTS);
  assert_int_equal(stat(path, &seen), 0);
  assert_int_equal(seen.st_size, 0);
  unlink(path);
}

static void one_that_was_left_is_replaced(void **state) {
  tsh_inbox *inbox;
  tsh_err err;

  (void)state;
  assert_int_equal(mkfifo(path, 0644), 0);
  assert_int_equal(tsh_inbox_open(&inbox, path, &err), 0);
  assert_int_equal(tsh_handover_give(path, "again", 5, &err), 0);
  check_taken(inbox, "again");
  tsh_inbox_close(inbox);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_message_at_a_time),
      cmocka_unit_test(a_writer_at_work_is_waited_for),
      cmocka_unit_test(what_is_too_large_is_refused),
      cmocka_unit_test(no_secret_gets_into_a_file),
      cmocka_unit_test(one_that_was_left_is_replaced),
  };

  return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
