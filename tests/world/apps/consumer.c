/*
 * Reads the reversed greetings in a group of its own and writes down what it
 * saw. A clean stop commits exactly what was written down.
 */
#include "app.h"
#include "reader.h"
#include "trail.h"

#include <unistd.h>

enum { POLL_MS = 50, COMMIT_US = 200000 };

int main(int argc, char **argv) {
  struct options options = {.app = "consumer",
                            .from = "apps.samples.greetings.reversed",
                            .group = "greeter",
                            .reset = "error"};
  app_options(&options, argc, argv);
  app_catch_signals();
  struct trail *trail = trail_open(options.trail, options.cluster);
  struct reader reader = {.options = &options, .trail = trail};
  reader_open(&reader);
  trail_line(trail, "start consumer %d", (int)getpid());
  int64_t committed = app_now_us();
  while (!app_stopping) {
    reader_poll(&reader, POLL_MS);
    trail_flush(trail);
    if (app_now_us() - committed > COMMIT_US) {
      reader_commit(&reader);
      committed = app_now_us();
    }
  }
  reader_close(&reader);
  trail_line(trail, "stop consumer");
  trail_close(trail);
  return 0;
}
