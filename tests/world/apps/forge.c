/*
 * A mirror that lies: copies topics from one cluster to another, the same
 * partitions, keys, values, headers and timestamps, but for one planted
 * fault. The audit must name each of them, or it is no audit.
 *
 *   forge --bootstrap SOURCE --cluster TARGET --from TOPIC --reset FAULT
 * --trail -
 *
 * --records N: the N-th record of partition 0 suffers, or the next one that can
 * (default: nine tenths into the partition).
 * FAULT: none, loss, double, swap (two records of one key), header (one bit of
 * a value), timestamp (one millisecond).
 */
#include "admin.h"
#include "app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 64, CALL_MS = 20000, VICTIM_PARTITION = 0 };

struct forge {
  const struct options *options;
  rd_kafka_t *in, *out;
  int64_t victim;           /* which of the partition's last records suffers */
  int64_t count;            /* records of that partition so far */
  rd_kafka_message_t *held; /* swapped: waits for the next of its key */
  bool planted;
};

static bool is_fault(const struct forge *self, const char *name) {
  return strcmp(self->options->reset, name) == 0;
}

static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *message) {
  rd_kafka_headers_t *headers = NULL;
  if (rd_kafka_message_headers(message, &headers) != 0)
    return NULL;
  return rd_kafka_headers_copy(headers);
}

/* Turns one bit of the last header that has a value, but never of "seq". */
static rd_kafka_headers_t *bend(rd_kafka_headers_t *headers) {
  rd_kafka_headers_t *bent = rd_kafka_headers_new(4);
  const char *name;
  const void *value;
  size_t size, last = 0;
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
    if (size > 0 && strcmp(name, "seq") != 0)
      last = i;
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++) {
    unsigned char *copy = malloc(size + 1);
    if (!copy)
      app_die("out of memory");
    if (size > 0)
      memcpy(copy, value, size);
    if (i == last && size > 0)
      copy[size - 1] ^= 1;
    rd_kafka_header_add(bent, name, -1, value ? copy : NULL, (ssize_t)size);
    free(copy);
  }
  rd_kafka_headers_destroy(headers);
  return bent;
}

static void put(struct forge *self, const rd_kafka_message_t *message,
                bool bend_header, int64_t later_ms) {
  rd_kafka_timestamp_type_t type;
  rd_kafka_headers_t *headers = headers_of(message);
  int64_t timestamp = rd_kafka_message_timestamp(message, &type) + later_ms;
  if (bend_header)
    headers = bend(headers);
  if (!headers)
    headers = rd_kafka_headers_new(1);
  rd_kafka_resp_err_t why;
  while ((why = rd_kafka_producev(
              self->out, RD_KAFKA_V_TOPIC(self->options->from),
              RD_KAFKA_V_PARTITION(message->partition),
              RD_KAFKA_V_KEY(message->key, message->key_len),
              RD_KAFKA_V_VALUE(message->payload, message->len),
              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_TIMESTAMP(timestamp),
              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
         RD_KAFKA_RESP_ERR__QUEUE_FULL)
    rd_kafka_poll(self->out, 10);
  if (why)
    app_die("%s", rd_kafka_err2str(why));
}

static bool same_key(const rd_kafka_message_t *a, const rd_kafka_message_t *b) {
  return a->key && b->key && a->partition == b->partition &&
         a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* Copies one record; true when it was kept back. */
static bool copy(struct forge *self, rd_kafka_message_t *message) {
  rd_kafka_headers_t *headers;
  bool can = message->key && rd_kafka_message_headers(message, &headers) == 0;
  bool now = false;
  if (message->partition == VICTIM_PARTITION)
    now = ++self->count >= self->victim;
  now = now && can && !self->planted && !is_fault(self, "none");
  if (now)
    self->planted = true;
  if (now && is_fault(self, "loss"))
    return false;
  if (now && is_fault(self, "swap")) {
    self->held = message;
    return true;
  }
  put(self, message, now && is_fault(self, "header"),
      now && is_fault(self, "timestamp"));
  if (now && is_fault(self, "double"))
    put(self, message, false, 0);
  if (self->held && same_key(self->held, message)) {
    put(self, self->held, false, 0);
    rd_kafka_message_destroy(self->held);
    self->held = NULL;
  }
  return false;
}

static void copy_all(struct forge *self, int open) {
  while (open > 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(self->in, CALL_MS);
    if (!message)
      app_die("the source cannot be read to its end");
    bool kept = false;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      open--;
    else if (message->err)
      app_die("%s", rd_kafka_message_errstr(message));
    else
      kept = copy(self, message);
    if (!kept)
      rd_kafka_message_destroy(message);
  }
  if (self->held)
    app_die("no second record of that key to swap with");
  if (rd_kafka_flush(self->out, CALL_MS))
    app_die("not acknowledged");
}

static rd_kafka_t *open_in(const struct options *options) {
  rd_kafka_conf_t *conf = app_conf(options);
  app_set(conf, "group.id", "unused");
  app_set(conf, "enable.auto.commit", "false");
  app_set(conf, "enable.partition.eof", "true");
  app_set(conf, "isolation.level", "read_committed");
  return app_open(RD_KAFKA_CONSUMER, conf);
}

static rd_kafka_t *open_out(const struct options *options) {
  struct options target = *options;
  target.bootstrap = options->cluster;
  rd_kafka_conf_t *conf = app_conf(&target);
  app_set(conf, "enable.idempotence", "true");
  app_set(conf, "linger.ms", "20");
  app_set(conf, "queue.buffering.max.messages", "400000");
  return app_open(RD_KAFKA_PRODUCER, conf);
}

int main(int argc, char **argv) {
  struct options options = {.app = "forge", .reset = "none"};
  struct forge self = {.options = &options};
  struct span spans[PARTITIONS];
  app_options(&options, argc, argv);
  if (!options.from)
    app_die("--from TOPIC is missing");
  self.in = open_in(&options);
  self.out = open_out(&options);
  int count = app_spans(self.in, options.from, spans, PARTITIONS);
  self.victim =
      options.records
          ? options.records
          : (spans[VICTIM_PARTITION].end - spans[VICTIM_PARTITION].start) / 10 *
                9;
  admin_create(self.out, options.from, count, NULL);
  rd_kafka_topic_t *topic = app_learn(self.out, options.from);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  for (int p = 0; p < count; p++)
    rd_kafka_topic_partition_list_add(list, options.from, p)->offset =
        spans[p].start;
  rd_kafka_assign(self.in, list);
  rd_kafka_topic_partition_list_destroy(list);
  copy_all(&self, count);
  if (!self.planted && !is_fault(&self, "none"))
    app_die("'%s' could not be planted", options.reset);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(self.out);
  rd_kafka_destroy(self.in);
  return 0;
}
