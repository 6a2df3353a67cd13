/*
 * Waits until a group without hurry has committed to the end of a topic, and
 * exits 0; after --records N seconds of waiting it exits 1 and says what is
 * left.
 */
#include "admin.h"
#include "app.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { PARTITIONS = 64, PAUSE_MS = 100 };

static int64_t behind(rd_kafka_t *rk, const struct options *options) {
  struct span spans[PARTITIONS];
  int64_t left = 0;
  int count = app_spans(rk, options->from, spans, PARTITIONS);
  for (int p = 0; p < count; p++) {
    int64_t at = admin_committed(rk, options->group, options->from, p);
    if (spans[p].end > spans[p].start)
      left += spans[p].end - (at < 0 ? spans[p].start : at);
  }
  return left;
}

int main(int argc, char **argv) {
  struct options options = {
      .app = "caughtup", .records = 30, .trail = "-", .cluster = "-"};
  struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  app_options(&options, argc, argv);
  if (!options.from || !options.group)
    app_die("--from and --group are missing");
  rd_kafka_t *rk = app_open(RD_KAFKA_PRODUCER, app_conf(&options));
  int64_t until = app_now_us() + options.records * 1000000L, left;
  while ((left = behind(rk, &options)) > 0 && app_now_us() < until)
    nanosleep(&pause, NULL);
  if (left > 0)
    printf("%s is %" PRId64 " records behind in %s\n", options.group, left,
           options.from);
  rd_kafka_destroy(rk);
  return left > 0;
}
