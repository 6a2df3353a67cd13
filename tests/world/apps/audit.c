/*
 * Trusts nobody: holds what every program says it wrote and read against the
 * records that one cluster holds now, and counts what is lost, doubled, out of
 * order per key, altered, or from nowhere, and how long each app was down.
 * Exits 1 if any of the counts is not zero.
 */
#include "app.h"
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 64, CALL_MS = 20000, SHOWN = 5 };

enum fault { LOST, DOUBLED, DISORDERED, ALTERED, UNKNOWN, FAULTS };
static const char *const fault_names[FAULTS] = {
    "lost", "doubled", "out of order", "altered", "unknown"};

struct audit {
  const struct options *options;
  struct ledger ledger;
  struct map order; /* who read it, topic, key -> index into `latest` */
  int64_t *latest;
  size_t latest_room;
  long total[FAULTS];
};

struct row {
  struct audit *audit;
  char title[160];
  long records, fault[FAULTS];
};

static void fault(struct row *row, enum fault kind, const char *where,
                  int64_t seq, int partition) {
  row->fault[kind]++;
  if (row->audit->total[kind]++ < SHOWN)
    printf("  %s: %s, %s #%" PRId64 ", partition %d\n", fault_names[kind],
           row->title, where, seq, partition);
}

static void show(const struct row *row) {
  printf("%-52s %9ld", row->title, row->records);
  for (int f = 0; f < FAULTS; f++)
    printf(" %12ld", row->fault[f]);
  printf("\n");
}

/* Whether `item` comes after every earlier one of its key, for one observer. */
static bool in_order(struct audit *self, uint64_t observer,
                     const struct item *item) {
  uint64_t print = map_print(observer, item->topic, item->key);
  uint32_t index = map_get(&self->order, print, (uint32_t)self->order.used);
  if (index >= self->latest_room) {
    size_t room = self->latest_room ? self->latest_room * 2 : 1024;
    self->latest = realloc(self->latest, room * sizeof *self->latest);
    if (!self->latest)
      app_die("out of memory");
    for (size_t i = self->latest_room; i < room; i++)
      self->latest[i] = -1;
    self->latest_room = room;
  }
  if (item->seq < self->latest[index])
    return false;
  self->latest[index] = item->seq;
  return true;
}

/* A record nobody has written down is from nowhere, unless an app was killed
 * between the broker's acknowledgement and its note of it. */
static struct item *adopt(struct audit *self, uint32_t topic,
                          const struct stamp *stamp) {
  if (!self->ledger.killed || stamp->seq < 0)
    return NULL;
  struct item *item =
      ledger_item(&self->ledger, topic,
                  names_id(&self->ledger.names, stamp->key), stamp->seq);
  item->digest = stamp->digest;
  return item;
}

static void check_found(struct row *row, uint32_t topic, int partition,
                        int64_t place, const struct stamp *stamp) {
  struct audit *self = row->audit;
  struct item *item = ledger_find(&self->ledger, topic, partition, stamp);
  if (!item)
    item = adopt(self, topic, stamp);
  row->records++;
  if (!item) {
    fault(row, UNKNOWN, stamp->key, stamp->seq, partition);
    return;
  }
  if (++item->found > 1)
    fault(row, DOUBLED, stamp->key, stamp->seq, partition);
  else if (!in_order(self, UINT64_MAX, item))
    fault(row, DISORDERED, stamp->key, stamp->seq, partition);
  if (item->digest != stamp->digest)
    fault(row, ALTERED, stamp->key, stamp->seq, partition);
  if (item->place == NO_PLACE)
    item->place = place;
}

/* A compacted topic: only the final record of each key is held to the trail. */
static bool check_final(struct row *row, uint32_t topic, int partition,
                        const struct stamp *stamp) {
  struct ledger *ledger = &row->audit->ledger;
  uint32_t index;
  uint64_t print = map_print(topic, (uint64_t)partition,
                             names_id(&ledger->names, stamp->key));
  if (!map_find(&ledger->finals, print, &index))
    return false;
  ledger->lasts[index].seen = stamp->digest;
  ledger->lasts[index].found = true;
  row->records++;
  return true;
}

static void take(struct row *row, uint32_t topic, int64_t *places,
                 const rd_kafka_message_t *message) {
  struct stamp stamp;
  message_stamp(&stamp, message);
  if (!check_final(row, topic, message->partition, &stamp))
    check_found(row, topic, message->partition, places[message->partition]++,
                &stamp);
}

/* Reads a topic from its start to the end it has now, committed records. */
static void read_log(struct row *row, uint32_t topic) {
  const char *name = row->audit->ledger.names.text[topic];
  int64_t places[PARTITIONS] = {0};
  struct span spans[PARTITIONS];
  rd_kafka_conf_t *conf = app_conf(row->audit->options);
  app_set(conf, "group.id", "unused");
  app_set(conf, "enable.auto.commit", "false");
  app_set(conf, "enable.partition.eof", "true");
  app_set(conf, "isolation.level", "read_committed");
  app_set(conf, "check.crcs", "true");
  app_set(conf, "queued.min.messages", "200000");
  app_set(conf, "fetch.queue.backoff.ms", "10");
  rd_kafka_t *rk = app_open(RD_KAFKA_CONSUMER, conf);
  int open = app_spans(rk, name, spans, PARTITIONS);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  for (int p = 0; p < open; p++)
    rd_kafka_topic_partition_list_add(list, name, p)->offset = spans[p].start;
  rd_kafka_assign(rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  while (open > 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, CALL_MS);
    if (!message)
      app_die("%s cannot be read to its end", name);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      open--;
    else if (message->err)
      app_die("%s: %s", name, rd_kafka_message_errstr(message));
    else
      take(row, topic, places, message);
    rd_kafka_message_destroy(message);
  }
  rd_kafka_destroy(rk);
}

static void check_log(struct audit *self, uint32_t topic) {
  struct row row = {.audit = self};
  struct ledger *ledger = &self->ledger;
  snprintf(row.title, sizeof row.title, "%s", ledger->names.text[topic]);
  read_log(&row, topic);
  for (size_t i = 0; i < ledger->item_count; i++) {
    const struct item *item = &ledger->items[i];
    if (item->topic == topic && item->acknowledged && !item->found)
      fault(&row, LOST, ledger->names.text[item->key], item->seq, -1);
  }
  show(&row);
}

/* The keys of compacted topics, once their logs have been read. */
static void check_lasts(struct audit *self) {
  struct row row = {.audit = self, .title = "final values of compacted topics"};
  for (size_t i = 0; i < self->ledger.last_count; i++) {
    const struct final *last = &self->ledger.lasts[i];
    row.records++;
    if (!last->found)
      fault(&row, LOST, "key", (int64_t)i, -1);
    else if (last->seen != last->digest)
      fault(&row, ALTERED, "key", (int64_t)i, -1);
  }
  if (row.records)
    show(&row);
}

/* What one app read of one topic, in the order in which it did. */
static long check_reader(struct audit *self, uint32_t app, uint32_t topic) {
  struct ledger *ledger = &self->ledger;
  struct row row = {.audit = self};
  snprintf(row.title, sizeof row.title, "%s, read by %s",
           ledger->names.text[topic], ledger->names.text[app]);
  for (size_t i = 0; i < ledger->item_count; i++)
    ledger->items[i].read = 0;
  for (size_t i = 0; i < ledger->reading_count; i++) {
    const struct reading *reading = &ledger->readings[i];
    const struct stamp *stamp = &reading->stamp;
    int partition = reading->partition;
    if (reading->app != app || reading->topic != topic)
      continue;
    struct item *item = ledger_find(ledger, topic, partition, stamp);
    row.records++;
    if (!item) {
      fault(&row, UNKNOWN, stamp->key, stamp->seq, partition);
      continue;
    }
    if (++item->read > 1 || item->history)
      fault(&row, DOUBLED, stamp->key, stamp->seq, partition);
    else if (!in_order(self, app, item))
      fault(&row, DISORDERED, stamp->key, stamp->seq, partition);
    if (item->digest != stamp->digest)
      fault(&row, ALTERED, stamp->key, stamp->seq, partition);
  }
  for (size_t i = 0; i < ledger->item_count; i++) {
    const struct item *item = &ledger->items[i];
    if (item->topic == topic && !item->history && !item->read &&
        (item->acknowledged || item->found))
      fault(&row, LOST, ledger->names.text[item->key], item->seq, -1);
  }
  show(&row);
  return row.records;
}

/* Every greeting has its reverse. */
static long check_reversed(struct audit *self, uint32_t from, uint32_t to) {
  struct ledger *ledger = &self->ledger;
  struct row row = {.audit = self, .title = "greetings that were reversed"};
  long produced = 0;
  uint32_t index;
  for (size_t i = 0; i < ledger->item_count; i++) {
    const struct item *item = &ledger->items[i];
    if (item->topic != from || item->history)
      continue;
    if (!item->acknowledged && !item->found)
      continue;
    produced++;
    if (map_find(&ledger->by_name,
                 map_print(to, item->key, (uint64_t)item->seq), &index))
      row.records++;
    else
      fault(&row, LOST, ledger->names.text[item->key], item->seq, -1);
  }
  show(&row);
  return produced;
}

/* After each change of cluster a reader goes on with the very next record. */
static void check_resumed(struct audit *self) {
  struct ledger *ledger = &self->ledger;
  struct map lasts = {0}; /* app, topic, partition -> its latest reading */
  const struct reading **latest =
      calloc(ledger->reading_count + 1, sizeof *latest);
  long changes = 0, exact = 0;
  if (!latest)
    app_die("out of memory");
  for (size_t i = 0; i < ledger->reading_count; i++) {
    const struct reading *now = &ledger->readings[i];
    uint64_t print = map_print(now->app, now->topic, (uint64_t)now->partition);
    uint32_t slot = map_get(&lasts, print, (uint32_t)lasts.used);
    const struct reading *before = latest[slot];
    latest[slot] = now;
    if (!before || !now->fresh || before->cluster == now->cluster)
      continue;
    const struct item *a =
        ledger_find(ledger, before->topic, before->partition, &before->stamp);
    const struct item *b =
        ledger_find(ledger, now->topic, now->partition, &now->stamp);
    changes++;
    if (a && b && a->place >= 0 && b->place == a->place + 1)
      exact++;
    else
      printf("  %s, partition %d of %s: did not go on with the next record\n",
             ledger->names.text[now->app], now->partition,
             ledger->names.text[now->topic]);
  }
  free(latest);
  map_free(&lasts);
  printf("resumed on the other cluster with the very next record: %ld of %ld "
         "partitions\n",
         exact, changes);
}

static void show_pauses(const struct ledger *ledger) {
  for (size_t i = 0; i < ledger->pause_count; i++) {
    const struct pause *pause = &ledger->pauses[i];
    printf("down  %-10s %7.2f s  %s -> %s%s\n", ledger->names.text[pause->app],
           (double)(pause->ended_ms - pause->began_ms) / 1000.0,
           ledger->names.text[pause->from], ledger->names.text[pause->to],
           pause->clean ? "" : "  (killed)");
  }
}

/* Topics in which anything was written, and who read them. */
static bool is_written(const struct ledger *ledger, uint32_t topic) {
  for (size_t i = 0; i < ledger->item_count; i++)
    if (ledger->items[i].topic == topic)
      return true;
  for (size_t i = 0; i < ledger->last_count; i++)
    if (ledger->lasts[i].topic == topic)
      return true;
  return false;
}

static bool is_read(const struct ledger *ledger, uint32_t app, uint32_t topic) {
  for (size_t i = 0; i < ledger->reading_count; i++)
    if (ledger->readings[i].app == app && ledger->readings[i].topic == topic)
      return true;
  return false;
}

int main(int argc, char **argv) {
  struct options options = {.app = "audit",
                            .from = "apps.samples.greetings",
                            .to = "apps.samples.greetings.reversed"};
  struct audit self = {.options = &options};
  struct ledger *ledger = &self.ledger;
  long seen = 0, faults = 0;
  app_options(&options, argc, argv);
  ledger_load(ledger, options.trail);
  uint32_t from = names_id(&ledger->names, options.from);
  uint32_t to = names_id(&ledger->names, options.to);
  uint32_t names = ledger->names.used;

  printf("%-52s %9s", options.cluster, "records");
  for (int f = 0; f < FAULTS; f++)
    printf(" %12s", fault_names[f]);
  printf("\n");
  for (uint32_t topic = 0; topic < names; topic++)
    if (is_written(ledger, topic))
      check_log(&self, topic);
  check_lasts(&self);
  long produced = check_reversed(&self, from, to);
  for (uint32_t app = 0; app < names; app++) {
    if (is_read(ledger, app, from))
      check_reader(&self, app, from);
    if (is_read(ledger, app, to))
      seen += check_reader(&self, app, to);
  }
  check_resumed(&self);
  show_pauses(ledger);

  printf("produced %ld  seen %ld", produced, seen);
  for (int f = 0; f < FAULTS; f++) {
    printf("  %s %ld", fault_names[f], self.total[f]);
    faults += self.total[f];
  }
  printf("\n");
  ledger_free(ledger);
  map_free(&self.order);
  free(self.latest);
  return faults ? 1 : 0;
}
