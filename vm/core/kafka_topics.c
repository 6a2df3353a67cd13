/* Topics, their partitions and the offsets of their logs. */
#include <string.h>

#include "kafka_int.h"

/* topics(), describe_topics(names) */

static int describe(kafka_req *req, const char **names, size_t count) {
  rd_kafka_TopicCollection_t *topics =
      rd_kafka_TopicCollection_of_topic_names(names, count);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
  rd_kafka_error_destroy(
      rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
  rd_kafka_DescribeTopics(req->kafka->rk, topics, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_TopicCollection_destroy(topics);
  return KAFKA_MORE;
}

static const char **names_of(kafka_req *req, const tsh_data *list,
                             size_t *count, tsh_err *err) {
  const char **names =
      tsh_kafka__array(req, tsh_data_count(list), sizeof *names);
  size_t made = 0;
  TSH_DATA_EACH(item, list) {
    if (!names || item->name || item->kind != TSH_DATA_TEXT ||
        !item->as.text.length) {
      tsh_kafka__invalid(err, "names are a list of texts");
      return NULL;
    }
    names[made++] = item->as.text.bytes;
  }
  *count = made;
  return names;
}

/* librdkafka has no queued call for "all topics"; this one blocks. */
static int list_names(kafka_req *req, tsh_err *err) {
  const rd_kafka_metadata_t *all;
  rd_kafka_resp_err_t code =
      rd_kafka_metadata(req->owner->rk, 1, NULL, &all, req->owner->timeout_ms);
  if (code)
    return tsh_kafka__fail(err, code, NULL);
  req->state = (void *)(uintptr_t)all;
  return 0;
}

static void release_metadata(kafka_req *req) {
  if (req->state)
    rd_kafka_metadata_destroy(req->state);
}

static int describe_listed(kafka_req *req, tsh_err *err) {
  (void)err;
  const rd_kafka_metadata_t *all = req->state;
  const char **names =
      tsh_kafka__array(req, (size_t)all->topic_cnt, sizeof *names);
  if (!names)
    return TSH_NO_MEMORY;
  if (all->topic_cnt == 0)
    return 0;
  for (int i = 0; i < all->topic_cnt; i++)
    names[i] = all->topics[i].topic;
  return describe(req, names, (size_t)all->topic_cnt);
}

int tsh_kafka__topics(kafka_req *req, tsh_err *err) {
  (void)err;
  release_metadata(req);
  req->state = NULL;
  req->release = release_metadata;
  return tsh_kafka__block(req, list_names, describe_listed);
}

static int by_name(const void *a, const void *b) {
  const rd_kafka_TopicDescription_t *const *left = a, *const *right = b;
  return strcmp(rd_kafka_TopicDescription_name(*left),
                rd_kafka_TopicDescription_name(*right));
}

/* Kafka's tools write ids in the alphabet of URLs, librdkafka does not. */
static const char *id_text(kafka_req *req, const rd_kafka_Uuid_t *id) {
  char *text =
      id ? tsh_pool_text(req->pool, rd_kafka_Uuid_base64str(id)) : NULL;
  for (char *c = text; c && *c; c++)
    *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
  return text;
}

static void add_head(kafka_req *req, tsh_data *to,
                     const rd_kafka_TopicDescription_t *topic) {
  const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(topic);
  tsh_data_add_text(req->pool, to, "name",
                    rd_kafka_TopicDescription_name(topic));
  tsh_data_add_text(req->pool, to, "id", id_text(req, id));
  tsh_data_add_flag(req->pool, to, "internal",
                    rd_kafka_TopicDescription_is_internal(topic) == 1);
}

static bool is_absent(const rd_kafka_TopicDescription_t *topic) {
  const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topic);
  return error &&
         rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

static int topic_error(const rd_kafka_TopicDescription_t *topic, tsh_err *err) {
  const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topic);
  if (!error || !rd_kafka_error_code(error))
    return 0;
  char text[256];
  snprintf(text, sizeof text, "%s: %s", rd_kafka_TopicDescription_name(topic),
           rd_kafka_error_string(error));
  return tsh_kafka__fail(err, rd_kafka_error_code(error), text);
}

int tsh_kafka__topics_read(kafka_req *req, rd_kafka_event_t *event,
                           tsh_err *err) {
  size_t count, partitions, replicas = 0;
  const rd_kafka_TopicDescription_t **topics =
      rd_kafka_DescribeTopics_result_topics(
          rd_kafka_event_DescribeTopics_result(event), &count);
  if (count)
    qsort(topics, count, sizeof *topics, by_name);
  for (size_t i = 0; i < count; i++) {
    if (is_absent(topics[i])) /* deleted in between */
      continue;
    int status = topic_error(topics[i], err);
    if (status)
      return status;
    const rd_kafka_TopicPartitionInfo_t **parts =
        rd_kafka_TopicDescription_partitions(topics[i], &partitions);
    if (partitions)
      rd_kafka_TopicPartitionInfo_replicas(parts[0], &replicas);
    tsh_data *topic = tsh_data_add_table(req->pool, req->out, NULL);
    add_head(req, topic, topics[i]);
    tsh_data_add_number(req->pool, topic, "partitions", (int64_t)partitions);
    tsh_data_add_number(req->pool, topic, "replication", (int64_t)replicas);
  }
  return 0;
}

int tsh_kafka__describe_topics(kafka_req *req, tsh_err *err) {
  size_t count;
  const tsh_data *list = tsh_kafka__table_arg(req, 1, err);
  const char **names = list ? names_of(req, list, &count, err) : NULL;
  if (!names)
    return TSH_INVALID;
  return count ? describe(req, names, count) : 0;
}

static void add_nodes(kafka_req *req, tsh_data *to, const char *name,
                      const rd_kafka_Node_t **nodes, size_t count) {
  tsh_data *ids = tsh_data_add_table(req->pool, to, name);
  for (size_t i = 0; i < count; i++)
    tsh_data_add_number(req->pool, ids, NULL, rd_kafka_Node_id(nodes[i]));
}

static void add_partition(kafka_req *req, tsh_data *to,
                          const rd_kafka_TopicPartitionInfo_t *info) {
  size_t count;
  tsh_data *part = tsh_data_add_table(req->pool, to, NULL);
  tsh_data_add_number(req->pool, part, "partition",
                      rd_kafka_TopicPartitionInfo_partition(info));
  const rd_kafka_Node_t *leader = rd_kafka_TopicPartitionInfo_leader(info);
  tsh_data_add_number(req->pool, part, "leader",
                      leader ? rd_kafka_Node_id(leader) : -1);
  const rd_kafka_Node_t **nodes =
      rd_kafka_TopicPartitionInfo_replicas(info, &count);
  add_nodes(req, part, "replicas", nodes, count);
  nodes = rd_kafka_TopicPartitionInfo_isr(info, &count);
  add_nodes(req, part, "isr", nodes, count);
}

int tsh_kafka__describe_topics_read(kafka_req *req, rd_kafka_event_t *event,
                                    tsh_err *err) {
  size_t count, partitions;
  const rd_kafka_TopicDescription_t **topics =
      rd_kafka_DescribeTopics_result_topics(
          rd_kafka_event_DescribeTopics_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    if (is_absent(topics[i]))
      continue;
    int status = topic_error(topics[i], err);
    if (status)
      return status;
    const char *name = rd_kafka_TopicDescription_name(topics[i]);
    tsh_data *topic =
        tsh_data_add_table(req->pool, req->out, tsh_pool_text(req->pool, name));
    add_head(req, topic, topics[i]);
    tsh_data *list = tsh_data_add_table(req->pool, topic, "partitions");
    const rd_kafka_TopicPartitionInfo_t **parts =
        rd_kafka_TopicDescription_partitions(topics[i], &partitions);
    for (size_t k = 0; k < partitions; k++)
      add_partition(req, list, parts[k]);
    const rd_kafka_AclOperation_t *operations =
        rd_kafka_TopicDescription_authorized_operations(topics[i], &partitions);
    tsh_kafka__add_operations(req, topic, operations, partitions);
  }
  return 0;
}

/* create_topics{{name, partitions, replication, configs}}, {validate_only} */

static rd_kafka_NewTopic_t *new_topic(const tsh_data *item, tsh_err *err) {
  char why[256];
  const char *name = tsh_data_text(item, "name", NULL);
  if (!name) {
    tsh_kafka__invalid(err, "a topic needs a name");
    return NULL;
  }
  rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
      name, (int)tsh_data_number(item, "partitions", -1),
      (int)tsh_data_number(item, "replication", -1), why, sizeof why);
  if (!topic) {
    tsh_kafka__invalid(err, why);
    return NULL;
  }
  TSH_DATA_EACH(config, tsh_data_get(item, "configs"))
  if (config->name && config->kind == TSH_DATA_TEXT)
    rd_kafka_NewTopic_set_config(topic, config->name, config->as.text.bytes);
  return topic;
}

int tsh_kafka__create_topics(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return TSH_INVALID;
  size_t made = 0;
  rd_kafka_NewTopic_t **topics =
      tsh_kafka__array(req, tsh_data_count(items), sizeof *topics);
  TSH_DATA_EACH(item, items) {
    rd_kafka_NewTopic_t *topic = topics ? new_topic(item, err) : NULL;
    if (!topic) {
      rd_kafka_NewTopic_destroy_array(topics, made);
      return TSH_INVALID;
    }
    topics[made++] = topic;
  }
  if (!made)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__write_options(req, RD_KAFKA_ADMIN_OP_CREATETOPICS, 2);
  rd_kafka_CreateTopics(req->kafka->rk, topics, made, options,
                        req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy_array(topics, made);
  return KAFKA_MORE;
}

static int topic_results(kafka_req *req, const rd_kafka_topic_result_t **list,
                         size_t count) {
  for (size_t i = 0; i < count; i++) {
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "name",
                      rd_kafka_topic_result_name(list[i]));
    tsh_kafka__item(req, item, rd_kafka_topic_result_error(list[i]),
                    rd_kafka_topic_result_error_string(list[i]));
  }
  return 0;
}

int tsh_kafka__create_topics_read(kafka_req *req, rd_kafka_event_t *event,
                                  tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_topic_result_t **list = rd_kafka_CreateTopics_result_topics(
      rd_kafka_event_CreateTopics_result(event), &count);
  return topic_results(req, list, count);
}

/* delete_topics(names) */

int tsh_kafka__delete_topics(kafka_req *req, tsh_err *err) {
  size_t count;
  const tsh_data *list = tsh_kafka__table_arg(req, 1, err);
  const char **names = list ? names_of(req, list, &count, err) : NULL;
  if (!names)
    return TSH_INVALID;
  rd_kafka_DeleteTopic_t **topics =
      tsh_kafka__array(req, count, sizeof *topics);
  if (!topics)
    return TSH_NO_MEMORY;
  if (!count)
    return 0;
  for (size_t i = 0; i < count; i++)
    topics[i] = rd_kafka_DeleteTopic_new(names[i]);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__write_options(req, RD_KAFKA_ADMIN_OP_DELETETOPICS, 0);
  rd_kafka_DeleteTopics(req->kafka->rk, topics, count, options,
                        req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_DeleteTopic_destroy_array(topics, count);
  return KAFKA_MORE;
}

int tsh_kafka__delete_topics_read(kafka_req *req, rd_kafka_event_t *event,
                                  tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_topic_result_t **list = rd_kafka_DeleteTopics_result_topics(
      rd_kafka_event_DeleteTopics_result(event), &count);
  return topic_results(req, list, count);
}

/* add_partitions{{name, total}} */

int tsh_kafka__add_partitions(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return TSH_INVALID;
  size_t made = 0;
  rd_kafka_NewPartitions_t **topics =
      tsh_kafka__array(req, tsh_data_count(items), sizeof *topics);
  TSH_DATA_EACH(item, items) {
    char why[256] = "each item needs a name and a total";
    const char *name = tsh_data_text(item, "name", NULL);
    int64_t total = tsh_data_number(item, "total", 0);
    rd_kafka_NewPartitions_t *topic =
        topics && name && total > 0
            ? rd_kafka_NewPartitions_new(name, (size_t)total, why, sizeof why)
            : NULL;
    if (!topic) {
      rd_kafka_NewPartitions_destroy_array(topics, made);
      return tsh_kafka__invalid(err, why);
    }
    topics[made++] = topic;
  }
  if (!made)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__write_options(req, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, 2);
  rd_kafka_CreatePartitions(req->kafka->rk, topics, made, options,
                            req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewPartitions_destroy_array(topics, made);
  return KAFKA_MORE;
}

int tsh_kafka__add_partitions_read(kafka_req *req, rd_kafka_event_t *event,
                                   tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_topic_result_t **list =
      rd_kafka_CreatePartitions_result_topics(
          rd_kafka_event_CreatePartitions_result(event), &count);
  return topic_results(req, list, count);
}
