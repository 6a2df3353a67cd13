/* Loading trails. A line that is not one of ours ends the audit. */
#include "ledger.h"

#include "app.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 10, PARTITIONS = 256 };

/* Appends one zeroed element to an array that grows by doubling. */
#define PUSH(array, count, room)                                               \
  ((count) == (room) ? ((array) = grow((array), &(room), sizeof *(array)), 0)  \
                     : 0,                                                      \
   memset(&(array)[(count)], 0, sizeof *(array)), &(array)[(count)++])

static void *grow(void *array, size_t *room, size_t size) {
  *room = *room ? *room * 2 : 1024;
  array = realloc(array, *room * size);
  if (!array)
    app_die("out of memory");
  return array;
}

/* Where one trail's reading stands. */
struct cursor {
  struct ledger *ledger;
  const char *path;
  long line;
  uint32_t app, cluster, home; /* home: where it last did something */
  bool running, paused;
  struct pause pause; /* open while `paused` */
  int64_t last_ms;    /* when the app last did something */
  bool fresh[PARTITIONS];
};

static void bad(const struct cursor *at) {
  app_die("%s:%ld: not a line of a trail", at->path, at->line);
}

struct item *ledger_item(struct ledger *ledger, uint32_t topic, uint32_t key,
                         int64_t seq) {
  uint64_t print = map_print(topic, key, (uint64_t)seq);
  uint32_t fresh = (uint32_t)ledger->item_count;
  uint32_t index = map_get(&ledger->by_name, print, fresh);
  if (index < fresh)
    return &ledger->items[index];
  struct item *item =
      PUSH(ledger->items, ledger->item_count, ledger->item_room);
  *item =
      (struct item){.topic = topic, .key = key, .seq = seq, .place = NO_PLACE};
  return item;
}

struct item *ledger_find(struct ledger *ledger, uint32_t topic, int partition,
                         const struct stamp *stamp) {
  uint32_t index;
  if (stamp->seq >= 0) {
    uint32_t key = names_id(&ledger->names, stamp->key);
    if (map_find(&ledger->by_name, map_print(topic, key, (uint64_t)stamp->seq),
                 &index))
      return &ledger->items[index];
  }
  if (map_find(&ledger->by_digest,
               map_print(topic, (uint64_t)partition, stamp->digest), &index))
    return &ledger->items[index];
  return NULL;
}

/* The app works again: the pause before it is over. */
static void worked(struct cursor *at, int64_t ms) {
  if (at->paused) {
    struct ledger *ledger = at->ledger;
    at->pause.ended_ms = ms;
    at->pause.to = at->cluster;
    *PUSH(ledger->pauses, ledger->pause_count, ledger->pause_room) = at->pause;
    at->paused = false;
  }
  at->last_ms = ms;
  at->home = at->cluster;
}

static void on_start(struct cursor *at, char **field) {
  if (at->last_ms) {
    at->paused = true;
    at->pause = (struct pause){.app = at->app,
                               .from = at->home,
                               .began_ms = at->last_ms,
                               .clean = !at->running};
  }
  if (at->running)
    at->ledger->killed = true;
  at->app = names_id(&at->ledger->names, field[3]);
  at->running = true;
  memset(at->fresh, true, sizeof at->fresh);
}

static void on_wrote(struct cursor *at, char **field) {
  struct ledger *ledger = at->ledger;
  struct item *item = ledger_item(ledger, names_id(&ledger->names, field[3]),
                                  names_id(&ledger->names, field[7]),
                                  strtoll(field[8], NULL, 10));
  item->digest = strtoull(field[9], NULL, 16);
  item->acknowledged++;
}

static void on_have(struct cursor *at, char **field) {
  struct ledger *ledger = at->ledger;
  char place[300];
  uint32_t topic = names_id(&ledger->names, field[3]);
  snprintf(place, sizeof place, "%s/%s", field[3], field[4]);
  struct item *item =
      ledger_item(ledger, topic, names_id(&ledger->names, place),
                  strtoll(field[5], NULL, 10));
  item->history = true;
  item->digest = strtoull(field[6], NULL, 16);
  item->acknowledged++;
  uint32_t index = (uint32_t)(item - ledger->items);
  uint64_t print = map_print(topic, strtoull(field[4], NULL, 10), item->digest);
  if (map_get(&ledger->by_digest, print, index) != index)
    app_die("%s:%ld: two records of history are the same", at->path, at->line);
}

static void on_last(struct cursor *at, char **field) {
  struct ledger *ledger = at->ledger;
  uint64_t print = map_print(names_id(&ledger->names, field[3]),
                             strtoull(field[4], NULL, 10),
                             names_id(&ledger->names, field[5]));
  map_get(&ledger->finals, print, (uint32_t)ledger->last_count);
  *PUSH(ledger->lasts, ledger->last_count, ledger->last_room) =
      (struct final){.topic = names_id(&ledger->names, field[3]),
                     .digest = strtoull(field[6], NULL, 16)};
}

static void on_read(struct cursor *at, char **field) {
  struct ledger *ledger = at->ledger;
  int partition = atoi(field[4]);
  if (partition < 0 || partition >= PARTITIONS)
    bad(at);
  struct reading *reading =
      PUSH(ledger->readings, ledger->reading_count, ledger->reading_room);
  reading->app = at->app;
  reading->cluster = at->cluster;
  reading->topic = names_id(&ledger->names, field[3]);
  reading->partition = partition;
  reading->fresh = at->fresh[partition];
  reading->stamp.seq = strtoll(field[8], NULL, 10);
  reading->stamp.digest = strtoull(field[9], NULL, 16);
  snprintf(reading->stamp.key, KEY_TEXT, "%s", field[7]);
  at->fresh[partition] = false;
}

static void take(struct cursor *at, char **field, int fields) {
  const char *verb = field[2];
  int64_t ms = strtoll(field[0], NULL, 10);
  at->cluster = names_id(&at->ledger->names, field[1]);
  if (strcmp(verb, "start") == 0 && fields == 5) {
    on_start(at, field);
  } else if (strcmp(verb, "stop") == 0 && fields == 4) {
    at->running = false;
  } else if (strcmp(verb, "wrote") == 0 && fields == 10) {
    on_wrote(at, field);
    worked(at, ms);
  } else if (strcmp(verb, "read") == 0 && fields == 10) {
    on_read(at, field);
    worked(at, ms);
  } else if (strcmp(verb, "have") == 0 && fields == 7) {
    on_have(at, field);
  } else if (strcmp(verb, "last") == 0 && fields == 7) {
    on_last(at, field);
  } else if (strcmp(verb, "reserve") != 0 || fields != 4) {
    bad(at);
  }
}

static void load(struct ledger *ledger, const char *path) {
  struct cursor at = {.ledger = ledger, .path = path};
  char *line = NULL, *field[FIELDS + 1], *rest;
  size_t room = 0;
  ssize_t size;
  FILE *file = fopen(path, "r");
  if (!file)
    app_die("%s: %s", path, strerror(errno));
  while ((size = getline(&line, &room, file)) > 0) {
    int fields = 0;
    at.line++;
    if (line[size - 1] != '\n')
      break; /* torn by a kill: it says nothing */
    line[size - 1] = '\0';
    if (!*line)
      continue;
    for (char *p = strtok_r(line, " ", &rest); p && fields <= FIELDS;
         p = strtok_r(NULL, " ", &rest))
      field[fields++] = p;
    if (fields < 4)
      bad(&at);
    take(&at, field, fields);
  }
  free(line);
  fclose(file);
}

void ledger_load(struct ledger *ledger, const char *folder) {
  char pattern[4096];
  glob_t found;
  snprintf(pattern, sizeof pattern, "%s/*.trail", folder);
  if (glob(pattern, 0, NULL, &found) != 0)
    app_die("no trails in %s", folder);
  for (size_t i = 0; i < found.gl_pathc; i++)
    load(ledger, found.gl_pathv[i]);
  globfree(&found);
}

void ledger_free(struct ledger *ledger) {
  names_free(&ledger->names);
  map_free(&ledger->by_name);
  map_free(&ledger->by_digest);
  map_free(&ledger->finals);
  free(ledger->items);
  free(ledger->readings);
  free(ledger->pauses);
  free(ledger->lasts);
}
