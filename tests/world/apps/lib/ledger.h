/*
 * What the trails of all programs say: one item per record that must exist,
 * one event per line, and one pause per time an app was down.
 */
#ifndef WORLD_LEDGER_H
#define WORLD_LEDGER_H

#include "map.h"
#include "trail.h"

#include <stdbool.h>
#include <stdint.h>

enum { NO_PLACE = -1 };

struct item {
  uint32_t topic, key; /* history has no app's key: its partition's name */
  int64_t seq;
  uint64_t digest;
  bool history;
  int acknowledged; /* `wrote` or `have` lines */
  int read;         /* `read` lines */
  int found;        /* times it is in the log that survived */
  int64_t place;    /* where, counted in records of its partition */
};

/* A `read` line, in the order of its trail. */
struct reading {
  uint32_t app, cluster, topic;
  int partition;
  struct stamp stamp;
  bool fresh; /* the first of this partition since the app started */
};

/* Time in which an app did nothing, because it was stopped. */
struct pause {
  uint32_t app, from, to; /* clusters */
  int64_t began_ms, ended_ms;
  bool clean;
};

struct ledger {
  struct names names;   /* apps, clusters, topics, keys */
  struct map by_name;   /* topic, key, seq -> item */
  struct map by_digest; /* history: topic, partition, digest -> item */
  struct map finals;    /* topic, partition, key -> index of `last` */
  struct item *items;
  size_t item_count, item_room;
  struct reading *readings;
  size_t reading_count, reading_room;
  struct pause *pauses;
  size_t pause_count, pause_room;
  struct final {
    uint32_t topic;
    uint64_t digest, seen;
    bool found;
  } * lasts;
  size_t last_count, last_room;
  bool killed; /* an app ended without a clean stop */
};

/* Reads every *.trail in a folder. */
void ledger_load(struct ledger *ledger, const char *folder);
void ledger_free(struct ledger *ledger);

/* Finds the item of a record in a topic; NULL if nobody wrote it down. */
struct item *ledger_find(struct ledger *ledger, uint32_t topic, int partition,
                         const struct stamp *stamp);

/* The item of a name; made if it is not there. */
struct item *ledger_item(struct ledger *ledger, uint32_t topic, uint32_t key,
                         int64_t seq);

#endif
