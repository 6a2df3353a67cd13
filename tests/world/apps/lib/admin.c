/* Topics, records and group positions through librdkafka's admin calls. */
#include "admin.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 20000, TRIES = 100, PAUSE_MS = 100 };

/* The answer to one request, or exit. */
static rd_kafka_event_t *answer(rd_kafka_queue_t *queue, const char *what) {
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
  if (!event)
    app_die("%s: no answer", what);
  if (rd_kafka_event_error(event))
    app_die("%s: %s", what, rd_kafka_event_error_string(event));
  return event;
}

void admin_create(rd_kafka_t *rk, const char *topic, int partitions,
                  const char *const *configs) {
  char why[256];
  size_t count;
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_NewTopic_t *wish =
      rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof why);
  if (!wish)
    app_die("%s: %s", topic, why);
  for (; configs && configs[0]; configs += 2)
    rd_kafka_NewTopic_set_config(wish, configs[0], configs[1]);
  rd_kafka_CreateTopics(rk, &wish, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue, topic);
  const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
      rd_kafka_event_CreateTopics_result(event), &count);
  if (rd_kafka_topic_result_error(results[0]))
    app_die("%s: %s", topic, rd_kafka_topic_result_error_string(results[0]));
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(wish);
  rd_kafka_queue_destroy(queue);
}

void admin_delete_records(rd_kafka_t *rk, const char *topic, int partition,
                          int64_t before) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, partition)->offset = before;
  rd_kafka_DeleteRecords_t *wish = rd_kafka_DeleteRecords_new(list);
  rd_kafka_DeleteRecords(rk, &wish, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue, topic);
  const rd_kafka_topic_partition_list_t *done =
      rd_kafka_DeleteRecords_result_offsets(
          rd_kafka_event_DeleteRecords_result(event));
  if (done->elems[0].err)
    app_die("%s/%d: %s", topic, partition,
            rd_kafka_err2str(done->elems[0].err));
  rd_kafka_event_destroy(event);
  rd_kafka_DeleteRecords_destroy(wish);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_queue_destroy(queue);
}

/* A young cluster is still making its offsets topic: the first tries fail. */
void admin_commit(const struct options *options, const char *group,
                  const rd_kafka_topic_partition_list_t *positions) {
  rd_kafka_resp_err_t why = RD_KAFKA_RESP_ERR_UNKNOWN;
  struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  rd_kafka_conf_t *conf = app_conf(options);
  app_set(conf, "group.id", group);
  rd_kafka_t *rk = app_open(RD_KAFKA_CONSUMER, conf);
  for (int tries = 0; why && tries < TRIES; tries++) {
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_copy(positions);
    why = rd_kafka_commit(rk, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
    if (why)
      nanosleep(&pause, NULL);
  }
  if (why)
    app_die("group %s: %s", group, rd_kafka_err2str(why));
  rd_kafka_destroy(rk);
}

int64_t admin_committed(rd_kafka_t *rk, const char *group, const char *topic,
                        int partition) {
  size_t count;
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, partition);
  rd_kafka_ListConsumerGroupOffsets_t *wish =
      rd_kafka_ListConsumerGroupOffsets_new(group, list);
  rd_kafka_ListConsumerGroupOffsets(rk, &wish, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue, group);
  const rd_kafka_group_result_t **groups =
      rd_kafka_ListConsumerGroupOffsets_result_groups(
          rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
  if (rd_kafka_group_result_error(groups[0]))
    app_die("group %s: %s", group,
            rd_kafka_error_string(rd_kafka_group_result_error(groups[0])));
  int64_t offset = rd_kafka_group_result_partitions(groups[0])->elems[0].offset;
  rd_kafka_event_destroy(event);
  rd_kafka_ListConsumerGroupOffsets_destroy(wish);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_queue_destroy(queue);
  return offset;
}
