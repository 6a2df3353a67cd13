/*
 * The reading half of the demo's applications: a consumer group member that
 * writes down each record it saw and commits exactly what it has finished.
 */
#ifndef WORLD_READER_H
#define WORLD_READER_H

#include "app.h"
#include "trail.h"

enum { READER_PARTITIONS = 64 };

struct reader {
  const struct options *options;
  struct trail *trail;
  /* Called for each record, and before positions are committed; may be null. */
  void (*record)(void *opaque, const rd_kafka_message_t *message);
  void (*settle)(void *opaque);
  void *opaque;

  rd_kafka_t *rk;
  int64_t next[READER_PARTITIONS]; /* position to commit; -1: none */
  bool moved;                      /* a position is ahead of its commit */
};

void reader_open(struct reader *reader);

/* Handles what arrives within `ms`, at most a few hundred records. */
void reader_poll(struct reader *reader, int ms);

/* Settles, then commits every position that moved; exits if refused. */
void reader_commit(struct reader *reader);

/* Commits, leaves the group. */
void reader_close(struct reader *reader);

#endif
