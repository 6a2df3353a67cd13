/* Group membership, exact commits. */
#include "reader.h"

#include <inttypes.h>
#include <stdio.h>

enum { AT_ONCE = 500 };

static void forget(struct reader *reader) {
  for (int p = 0; p < READER_PARTITIONS; p++)
    reader->next[p] = -1;
  reader->moved = false;
}

void reader_commit(struct reader *reader) {
  if (!reader->moved)
    return;
  if (reader->settle)
    reader->settle(reader->opaque);
  trail_flush(reader->trail);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  for (int p = 0; p < READER_PARTITIONS; p++) {
    if (reader->next[p] < 0)
      continue;
    rd_kafka_topic_partition_list_add(list, reader->options->from, p)->offset =
        reader->next[p];
  }
  rd_kafka_resp_err_t why = rd_kafka_commit(reader->rk, list, 0);
  rd_kafka_topic_partition_list_destroy(list);
  if (why)
    app_die("positions not committed: %s", rd_kafka_err2str(why));
  reader->moved = false;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t event,
                         rd_kafka_topic_partition_list_t *list, void *opaque) {
  struct reader *reader = opaque;
  if (event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    forget(reader);
    rd_kafka_assign(rk, list);
    return;
  }
  if (!rd_kafka_assignment_lost(rk))
    reader_commit(reader);
  forget(reader);
  rd_kafka_assign(rk, NULL);
}

void reader_open(struct reader *reader) {
  const struct options *options = reader->options;
  rd_kafka_conf_t *conf = app_conf(options);
  app_set(conf, "group.id", options->group);
  app_set(conf, "enable.auto.commit", "false");
  app_set(conf, "enable.auto.offset.store", "false");
  app_set(conf, "auto.offset.reset", options->reset);
  app_set(conf, "isolation.level", "read_committed");
  app_set(conf, "session.timeout.ms", "10000");
  app_set(conf, "fetch.wait.max.ms", "100");
  rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
  rd_kafka_conf_set_opaque(conf, reader);
  forget(reader);
  reader->rk = app_open(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(reader->rk);
  rd_kafka_topic_partition_list_t *topics =
      rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, options->from,
                                    RD_KAFKA_PARTITION_UA);
  rd_kafka_resp_err_t why = rd_kafka_subscribe(reader->rk, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  if (why)
    app_die("cannot subscribe: %s", rd_kafka_err2str(why));
}

/* A missing or impossible position ends the app: skipping would hide a loss. */
static void on_error(const rd_kafka_message_t *message) {
  switch (message->err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__FATAL:
      app_die("%s", rd_kafka_message_errstr(message));
    default:
      fprintf(stderr, "%s\n", rd_kafka_message_errstr(message));
  }
}

static void on_message(struct reader *reader,
                       const rd_kafka_message_t *message) {
  struct stamp stamp;
  if (message->partition >= READER_PARTITIONS)
    app_die("more than %d partitions", READER_PARTITIONS);
  message_stamp(&stamp, message);
  trail_record(reader->trail, "read", rd_kafka_topic_name(message->rkt),
               message->partition, message->offset, &stamp);
  if (reader->record)
    reader->record(reader->opaque, message);
  reader->next[message->partition] = message->offset + 1;
  reader->moved = true;
}

void reader_poll(struct reader *reader, int ms) {
  for (int n = 0; n < AT_ONCE && !app_stopping; n++) {
    rd_kafka_message_t *message =
        rd_kafka_consumer_poll(reader->rk, n == 0 ? ms : 0);
    if (!message)
      return;
    if (message->err)
      on_error(message);
    else
      on_message(reader, message);
    rd_kafka_message_destroy(message);
  }
}

void reader_close(struct reader *reader) {
  reader_commit(reader);
  rd_kafka_consumer_close(reader->rk);
  rd_kafka_destroy(reader->rk);
}
