/*
 * Fills a cluster with a history that is not kind to whoever must move it:
 * null keys and values, headers of every sort, five codecs, timestamps that go
 * backwards, a head removed by DeleteRecords, committed and aborted
 * transactions, an empty topic, a compacted topic with real holes, and idle
 * groups that stopped in the middle, at the end and on empty partitions.
 * The trail says what a reader of committed records must find.
 */
#include "admin.h"
#include "app.h"
#include "trail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  CODECS = 5,
  PARTITIONS = 10, /* the most any topic here has */
  SWITCH = 3000,   /* records between changes of codec in a mixed partition */
  HEAD = 5000,     /* records removed from the head of one partition */
  CALL_MS = 20000,
  STEP_MS = 40, /* time between two records of one partition */
  COMPACT_TRIES = 200,
  COMPACT_PAUSE_MS = 100,
};

static const char *const codecs[CODECS] = {"none", "gzip", "snappy", "lz4",
                                           "zstd"};

/* Keeps every segment but the last one open to the cleaner, at once. */
static const char *const compacted[] = {"cleanup.policy",
                                        "compact",
                                        "segment.ms",
                                        "24000",
                                        "min.cleanable.dirty.ratio",
                                        "0.01",
                                        NULL};
static const char *const kept_a_week[] = {"retention.ms", "604800000",
                                          "max.message.bytes", "2097152", NULL};
static const char *const kept_forever[] = {"retention.ms", "-1", NULL};

struct topic {
  const char *name;
  int partitions;
  int filled;                               /* partitions that get records */
  long each;                                /* records per filled partition */
  int transactional_from, transactional_to; /* partitions; from < 0: none */
  const char *const *configs;
};

enum { GREETINGS, REVERSED, VISITORS, EMPTY, LOGS, TOPICS };
static const struct topic topics[TOPICS] = {
    [GREETINGS] = {"apps.samples.greetings", 3, 3, 16000, -1, -1, kept_a_week},
    [REVERSED] = {"apps.samples.greetings.reversed", 3, 3, 16000, -1, -1,
                  kept_a_week},
    [VISITORS] = {"apps.samples.visitors", 2, 2, 6000, -1, -1, compacted},
    [EMPTY] = {"apps.samples.empty", 2, 0, 0, -1, -1, NULL},
    [LOGS] = {"monitor.ocp.logs", 10, 9, 13000, 3, 4, kept_forever},
};

struct entry {
  int topic, partition;
  bool dropped; /* aborted, or below the removed head */
  int64_t offset;
  struct stamp stamp;
};

struct history {
  const struct options *options;
  rd_kafka_t *plain[CODECS], *transactional;
  rd_kafka_topic_t *learnt[CODECS][TOPICS];
  struct trail *trail;
  struct entry *entries;
  size_t used, room;
  int64_t began_ms;
  int64_t written[TOPICS][PARTITIONS]; /* records so far */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message,
                        void *opaque) {
  struct history *self = opaque;
  (void)rk;
  if (message->err)
    app_die("not written: %s", rd_kafka_err2str(message->err));
  self->entries[(size_t)(uintptr_t)message->_private].offset = message->offset;
}

static rd_kafka_t *open_producer(struct history *self, const char *codec,
                                 const char *transactional_id) {
  rd_kafka_conf_t *conf = app_conf(self->options);
  app_set(conf, "enable.idempotence", "true");
  app_set(conf, "compression.codec", codec);
  app_set(conf, "batch.num.messages", "500");
  app_set(conf, "linger.ms", "10");
  app_set(conf, "queue.buffering.max.messages", "400000");
  if (transactional_id)
    app_set(conf, "transactional.id", transactional_id);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, self);
  return app_open(RD_KAFKA_PRODUCER, conf);
}

/* The shape of record n: what is null, empty, big, or has which headers. */
struct shape {
  char key[40], *value;
  size_t key_size, value_size;
  bool null_key, null_value;
  rd_kafka_headers_t *headers;
};

static rd_kafka_headers_t *some_headers(int64_t n) {
  static const unsigned char binary[] = {0, 255, 10, 13, 128, 0};
  rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
  if (n % 3 == 0)
    return headers;
  rd_kafka_header_add(headers, "origin", -1, "history", -1);
  if (n % 3 == 1)
    return headers;
  rd_kafka_header_add(headers, "origin", -1, "twice", -1);
  rd_kafka_header_add(headers, "raw", -1, binary, sizeof binary);
  rd_kafka_header_add(headers, "none", -1, NULL, 0);
  rd_kafka_header_add(headers, "", -1, "", 0);
  return headers;
}

static struct shape shape_of(int topic, int partition, int64_t n) {
  struct shape shape = {.null_key = n % 7 == 0, .null_value = n % 11 == 0};
  size_t pad = n % 4001 == 4000 ? 60000 : (size_t)(n % 97);
  shape.value = malloc(pad + 96);
  if (!shape.value)
    app_die("out of memory");
  if (topic == VISITORS) { /* a compacted topic takes no null keys */
    shape.null_key = false;
    shape.key_size = (size_t)snprintf(shape.key, sizeof shape.key,
                                      "visitor-%d-%" PRId64, partition, n % 60);
  } else if (n % 101 != 0) {
    shape.key_size = (size_t)snprintf(shape.key, sizeof shape.key,
                                      "k\xc3\xa9y %" PRId64, n % 500);
  }
  if (n % 103 != 0)
    shape.value_size = (size_t)sprintf(
        shape.value, "{\"n\":%" PRId64 ",\"partition\":%d}", n, partition);
  if (shape.value_size) {
    memset(shape.value + shape.value_size, 'x', pad);
    shape.value_size += pad;
  }
  shape.headers = some_headers(n);
  return shape;
}

static struct entry *new_entry(struct history *self) {
  if (self->used == self->room) {
    self->room = self->room ? self->room * 2 : 1 << 16;
    self->entries = realloc(self->entries, self->room * sizeof *self->entries);
    if (!self->entries)
      app_die("out of memory");
  }
  return &self->entries[self->used++];
}

static void put(struct history *self, rd_kafka_t *rk, int topic,
                int partition) {
  int64_t n = self->written[topic][partition]++;
  int64_t back =
      n % 5 == 0 ? STEP_MS / 2 * 3 : 0; /* older than the one before */
  int64_t timestamp = self->began_ms + n * STEP_MS - back;
  struct shape shape = shape_of(topic, partition, n);
  struct entry *entry = new_entry(self);
  const void *key = shape.null_key ? NULL : shape.key;
  const void *value = shape.null_value ? NULL : shape.value;
  size_t key_size = key ? shape.key_size : 0;
  size_t value_size = value ? shape.value_size : 0;
  *entry = (struct entry){.topic = topic, .partition = partition};
  record_stamp(&entry->stamp, key, key_size, value, value_size, shape.headers,
               timestamp);
  rd_kafka_resp_err_t why;
  while (
      (why = rd_kafka_producev(
           rk, RD_KAFKA_V_TOPIC(topics[topic].name),
           RD_KAFKA_V_PARTITION(partition),
           RD_KAFKA_V_KEY((void *)key, key_size),
           RD_KAFKA_V_VALUE((void *)value, value_size),
           RD_KAFKA_V_HEADERS(shape.headers), RD_KAFKA_V_TIMESTAMP(timestamp),
           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
           RD_KAFKA_V_OPAQUE((void *)(uintptr_t)(self->used - 1)),
           RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(rk, 10);
  if (why)
    app_die("%s", rd_kafka_err2str(why));
  if (n % 256 == 0)
    rd_kafka_poll(rk, 0);
  free(shape.value);
}

static void flush(rd_kafka_t *rk) {
  if (rd_kafka_flush(rk, CALL_MS))
    app_die("the broker does not acknowledge");
}

/* The first partition of a topic changes its codec on the way. */
static void fill_partition(struct history *self, int topic, int partition,
                           long records) {
  int codec = partition % CODECS;
  for (long n = 0; n < records; n++) {
    if (partition == 0 && n > 0 && n % SWITCH == 0) {
      flush(self->plain[codec]);
      codec = (codec + 1) % CODECS;
    }
    put(self, self->plain[codec], topic, partition);
  }
}

static void must(rd_kafka_error_t *error) {
  if (error)
    app_die("transaction: %s", rd_kafka_error_string(error));
}

/* Transactions across two partitions; every third one is aborted, and plain
 * records are written while each is open. */
static void fill_transactions(struct history *self, int topic, long records) {
  const struct topic *t = &topics[topic];
  enum { SIZE = 200 };
  for (long n = 0; n < records; n += SIZE) {
    bool abort = n / SIZE % 3 == 2;
    size_t first = self->used;
    must(rd_kafka_begin_transaction(self->transactional));
    for (int i = 0; i < SIZE; i++)
      put(self, self->transactional, topic,
          i % 2 ? t->transactional_from : t->transactional_to);
    flush(self->transactional);
    for (size_t e = first; e < self->used; e++)
      self->entries[e].dropped = abort;
    put(self, self->plain[0], topic, t->transactional_from);
    flush(self->plain[0]);
    must(abort ? rd_kafka_abort_transaction(self->transactional, CALL_MS)
               : rd_kafka_commit_transaction(self->transactional, CALL_MS));
  }
}

static bool is_transactional(const struct topic *t, int partition) {
  return t->transactional_from >= 0 && partition >= t->transactional_from &&
         partition <= t->transactional_to;
}

static void fill(struct history *self) {
  for (int codec = 0; codec < CODECS; codec++) {
    self->plain[codec] = open_producer(self, codecs[codec], NULL);
    for (int t = 0; t < TOPICS; t++)
      self->learnt[codec][t] = app_learn(self->plain[codec], topics[t].name);
  }
  self->transactional = open_producer(self, "lz4", "history");
  must(rd_kafka_init_transactions(self->transactional, CALL_MS));
  for (int topic = 0; topic < TOPICS; topic++) {
    const struct topic *t = &topics[topic];
    for (int p = 0; p < t->filled; p++) {
      long each = is_transactional(t, p) ? t->each / 2 : t->each;
      fill_partition(self, topic, p, each);
    }
    if (t->transactional_from >= 0)
      fill_transactions(self, topic, t->each);
  }
  for (int codec = 0; codec < CODECS; codec++)
    flush(self->plain[codec]);
}

/* Greetings, partition 1: the oldest records go, as retention would do it. */
static void remove_head(struct history *self) {
  admin_delete_records(self->plain[0], topics[GREETINGS].name, 1, HEAD);
  for (size_t e = 0; e < self->used; e++) {
    struct entry *entry = &self->entries[e];
    if (entry->topic == GREETINGS && entry->partition == 1 &&
        entry->offset < HEAD)
      entry->dropped = true;
  }
}

/* What a reader of committed records finds in the compacted topic now. */
static long count_records(struct history *self, const char *topic) {
  struct span spans[PARTITIONS];
  long count = 0;
  rd_kafka_conf_t *conf = app_conf(self->options);
  app_set(conf, "group.id", "unused");
  app_set(conf, "enable.auto.commit", "false");
  app_set(conf, "enable.partition.eof", "true");
  app_set(conf, "auto.offset.reset", "earliest");
  rd_kafka_t *rk = app_open(RD_KAFKA_CONSUMER, conf);
  int open = app_spans(rk, topic, spans, PARTITIONS);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  for (int p = 0; p < open; p++)
    rd_kafka_topic_partition_list_add(list, topic, p)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  while (open > 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, CALL_MS);
    if (!message)
      app_die("%s cannot be read", topic);
    if (!message->err)
      count++;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      open--;
    rd_kafka_message_destroy(message);
  }
  rd_kafka_destroy(rk);
  return count;
}

static void wait_for_compaction(struct history *self) {
  struct timespec pause = {.tv_nsec = COMPACT_PAUSE_MS * 1000000L};
  long all = topics[VISITORS].each * topics[VISITORS].filled;
  for (int tries = 0; tries < COMPACT_TRIES; tries++) {
    if (count_records(self, topics[VISITORS].name) < all / 2)
      return;
    nanosleep(&pause, NULL);
  }
  app_die("the broker did not compact %s", topics[VISITORS].name);
}

static void add(rd_kafka_topic_partition_list_t *list, int topic, int partition,
                int64_t offset) {
  rd_kafka_topic_partition_list_add(list, topics[topic].name, partition)
      ->offset = offset;
}

/* Positions at `part` of `whole` of each partition's log. */
static void add_all(struct history *self, rd_kafka_topic_partition_list_t *list,
                    int topic, int part, int whole) {
  struct span spans[PARTITIONS];
  int count = app_spans(self->plain[0], topics[topic].name, spans, PARTITIONS);
  for (int p = 0; p < count; p++)
    add(list, topic, p,
        spans[p].start + (spans[p].end - spans[p].start) * part / whole);
}

static void commit(struct history *self, const char *group,
                   rd_kafka_topic_partition_list_t *list) {
  admin_commit(self->options, group, list);
  rd_kafka_topic_partition_list_destroy(list);
}

/* Three idle groups, and where the two working ones will begin. */
static void commit_groups(struct history *self) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(32);
  add_all(self, list, GREETINGS, 1, 2);
  add_all(self, list, VISITORS, 1, 2);
  add_all(self, list, LOGS, 1, 3);
  commit(self, "archive", list);

  list = rd_kafka_topic_partition_list_new(32);
  add_all(self, list, REVERSED, 1, 1);
  add_all(self, list, LOGS, 1, 1);
  commit(self, "billing", list);

  list = rd_kafka_topic_partition_list_new(32);
  add(list, EMPTY, 0, 0);
  add(list, LOGS, topics[LOGS].partitions - 1, 0);
  commit(self, "waiting", list);

  list = rd_kafka_topic_partition_list_new(32);
  add_all(self, list, GREETINGS, 1, 1);
  commit(self, "reverser", list);

  list = rd_kafka_topic_partition_list_new(32);
  add_all(self, list, REVERSED, 1, 1);
  commit(self, "greeter", list);
}

static int by_place(const void *left, const void *right) {
  const struct entry *a = left, *b = right;
  if (a->topic != b->topic)
    return a->topic - b->topic;
  if (a->partition != b->partition)
    return a->partition - b->partition;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static bool is_last_of_key(const struct history *self, size_t at) {
  const struct entry *entry = &self->entries[at];
  for (size_t e = at + 1; e < self->used; e++) {
    const struct entry *later = &self->entries[e];
    if (later->topic != entry->topic || later->partition != entry->partition)
      return true;
    if (strcmp(later->stamp.key, entry->stamp.key) == 0)
      return false;
  }
  return true;
}

static void write_trail(struct history *self) {
  int64_t n = 0;
  qsort(self->entries, self->used, sizeof *self->entries, by_place);
  for (size_t e = 0; e < self->used; e++) {
    const struct entry *entry = &self->entries[e];
    const char *name = topics[entry->topic].name;
    if (e == 0 || entry->topic != entry[-1].topic ||
        entry->partition != entry[-1].partition)
      n = 0;
    if (entry->dropped)
      continue;
    if (entry->topic != VISITORS)
      trail_line(self->trail, "have %s %d %" PRId64 " %016" PRIx64, name,
                 entry->partition, n++, entry->stamp.digest);
    else if (is_last_of_key(self, e))
      trail_line(self->trail, "last %s %d %s %016" PRIx64, name,
                 entry->partition, entry->stamp.key, entry->stamp.digest);
  }
}

int main(int argc, char **argv) {
  struct options options = {.app = "history"};
  struct history self = {.options = &options};
  app_options(&options, argc, argv);
  self.trail = trail_open(options.trail, options.cluster);
  self.began_ms = app_wall_ms() - 24 * 3600 * 1000L;

  rd_kafka_t *rk = app_open(RD_KAFKA_PRODUCER, app_conf(&options));
  for (int topic = 0; topic < TOPICS; topic++)
    admin_create(rk, topics[topic].name, topics[topic].partitions,
                 topics[topic].configs);
  fill(&self);
  remove_head(&self);
  wait_for_compaction(&self);
  commit_groups(&self);
  write_trail(&self);
  trail_close(self.trail);
  printf("%zu records written in %d topics\n", self.used, (int)TOPICS);

  for (int codec = 0; codec < CODECS; codec++) {
    for (int t = 0; t < TOPICS; t++)
      rd_kafka_topic_destroy(self.learnt[codec][t]);
    rd_kafka_destroy(self.plain[codec]);
  }
  rd_kafka_destroy(self.transactional);
  rd_kafka_destroy(rk);
  free(self.entries);
  return 0;
}
