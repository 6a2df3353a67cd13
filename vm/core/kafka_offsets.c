/* Where logs start and end, and moving their start. */
#include <string.h>

#include "kafka_int.h"

/* offsets{{topic, partition, at}}
 *
 * One ListOffsets request holds a partition once and has one isolation level;
 * and a topic that does not exist fails it whole. So topics are looked up
 * first, and the items go out in as many rounds as that takes. */

typedef enum asked { OPEN, SENT, ANSWERED } asked;

typedef struct offset_item {
  const char *topic;
  int32_t partition;
  int64_t spec;
  bool stable; /* read_committed: "end" is then the last stable offset */
  asked state;
  rd_kafka_resp_err_t code;
  int64_t offset, timestamp;
  int32_t leader_epoch;
} offset_item;

typedef struct offset_list {
  size_t count;
  offset_item item[];
} offset_list;

static int read_at(const tsh_data *at, offset_item *item, tsh_err *err) {
  static const struct {
    const char *name;
    int64_t spec;
    bool stable;
  } words[] = {{"start", RD_KAFKA_OFFSET_SPEC_EARLIEST, false},
               {"end", RD_KAFKA_OFFSET_SPEC_LATEST, false},
               {"stable", RD_KAFKA_OFFSET_SPEC_LATEST, true}};
  if (at && at->kind == TSH_DATA_NUMBER && at->as.number >= 0) {
    item->spec = at->as.number;
    return 0;
  }
  for (size_t i = 0; at && at->kind == TSH_DATA_TEXT && i < 3; i++)
    if (strcmp(words[i].name, at->as.text.bytes) == 0) {
      item->spec = words[i].spec;
      item->stable = words[i].stable;
      return 0;
    }
  return tsh_kafka__invalid(
      err, "at is \"start\", \"end\", \"stable\" or a timestamp");
}

static offset_list *read_items(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return NULL;
  size_t count = tsh_data_count(items);
  offset_list *list =
      tsh_kafka__array(req, 1, sizeof *list + count * sizeof *list->item);
  TSH_DATA_EACH(given, items) {
    int64_t partition = tsh_data_number(given, "partition", -1);
    offset_item *item = list ? &list->item[list->count++] : NULL;
    if (!item || read_at(tsh_data_get(given, "at"), item, err))
      return NULL;
    item->topic = tsh_data_text(given, "topic", NULL);
    item->partition = (int32_t)partition;
    if (!item->topic || partition < 0 || partition > INT32_MAX) {
      tsh_kafka__invalid(err, "each item needs a topic and a partition");
      return NULL;
    }
  }
  return list;
}

int tsh_kafka__offsets(kafka_req *req, tsh_err *err) {
  offset_list *list = read_items(req, err);
  if (!list)
    return TSH_INVALID;
  req->state = list;
  if (!list->count)
    return 0;
  const char **names = tsh_kafka__array(req, list->count, sizeof *names);
  size_t count = 0;
  for (size_t i = 0; names && i < list->count; i++) {
    size_t k = 0;
    while (k < count && strcmp(names[k], list->item[i].topic) != 0)
      k++;
    if (k == count)
      names[count++] = list->item[i].topic;
  }
  rd_kafka_TopicCollection_t *topics =
      rd_kafka_TopicCollection_of_topic_names(names, count);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
  rd_kafka_DescribeTopics(req->kafka->rk, topics, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_TopicCollection_destroy(topics);
  return KAFKA_MORE;
}

static void settle_absent(offset_list *list,
                          const rd_kafka_TopicDescription_t *topic) {
  const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topic);
  rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : 0;
  size_t partitions = 0;
  if (!code)
    rd_kafka_TopicDescription_partitions(topic, &partitions);
  for (size_t i = 0; i < list->count; i++) {
    offset_item *item = &list->item[i];
    if (strcmp(item->topic, rd_kafka_TopicDescription_name(topic)) != 0)
      continue;
    if (!code && (size_t)item->partition < partitions)
      continue;
    item->state = ANSWERED;
    item->code = code ? code : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  }
}

static void add_offset(kafka_req *req, const offset_item *item,
                       const tsh_data *given) {
  tsh_data *out = tsh_data_add_table(req->pool, req->out, NULL);
  const tsh_data *at = tsh_data_get(given, "at");
  tsh_data_add_text(req->pool, out, "topic", item->topic);
  tsh_data_add_number(req->pool, out, "partition", item->partition);
  if (at->kind == TSH_DATA_NUMBER)
    tsh_data_add_number(req->pool, out, "at", at->as.number);
  else
    tsh_data_add_text(req->pool, out, "at", at->as.text.bytes);
  tsh_kafka__item(req, out, item->code, NULL);
  if (item->code)
    return;
  tsh_data_add_number(req->pool, out, "offset", item->offset);
  tsh_data_add_number(req->pool, out, "timestamp", item->timestamp);
  tsh_data_add_number(req->pool, out, "leader_epoch", item->leader_epoch);
}

static bool fits(const rd_kafka_topic_partition_list_t *parts,
                 const offset_item *item, bool stable) {
  return item->state == OPEN && item->stable == stable &&
         !rd_kafka_topic_partition_list_find(
             (rd_kafka_topic_partition_list_t *)(uintptr_t)parts, item->topic,
             item->partition);
}

/* Sends the next round; none left: makes the answer. */
static int next_round(kafka_req *req, offset_list *list) {
  size_t first = 0;
  while (first < list->count && list->item[first].state != OPEN)
    first++;
  if (first == list->count) {
    for (size_t i = 0; i < list->count; i++)
      add_offset(req, &list->item[i],
                 tsh_data_at(tsh_data_at(req->args, 1), i + 1));
    return 0;
  }
  bool stable = list->item[first].stable;
  rd_kafka_topic_partition_list_t *parts =
      rd_kafka_topic_partition_list_new((int)list->count);
  for (size_t i = first; i < list->count; i++) {
    offset_item *item = &list->item[i];
    if (!fits(parts, item, stable))
      continue;
    item->state = SENT;
    rd_kafka_topic_partition_list_add(parts, item->topic, item->partition)
        ->offset = item->spec;
  }
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
  if (stable)
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_isolation_level(
        options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED));
  rd_kafka_ListOffsets(req->kafka->rk, parts, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_topic_partition_list_destroy(parts);
  return KAFKA_MORE;
}

static void take(offset_list *list,
                 const rd_kafka_ListOffsetsResultInfo_t *info) {
  const rd_kafka_topic_partition_t *part =
      rd_kafka_ListOffsetsResultInfo_topic_partition(info);
  for (size_t i = 0; i < list->count; i++) {
    offset_item *item = &list->item[i];
    if (item->state != SENT || item->partition != part->partition ||
        strcmp(item->topic, part->topic) != 0)
      continue;
    item->state = ANSWERED;
    item->code = part->err;
    item->offset = part->offset;
    /* What a leader that is gone was asked comes back without an answer and
     * without an error. No record of that time is -1. */
    if (!item->code && part->offset < (item->spec < 0 ? 0 : -1))
      item->code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    item->leader_epoch = rd_kafka_topic_partition_get_leader_epoch(part);
    item->timestamp = rd_kafka_ListOffsetsResultInfo_timestamp(info);
  }
}

int tsh_kafka__offsets_read(kafka_req *req, rd_kafka_event_t *event,
                            tsh_err *err) {
  (void)err;
  offset_list *list = req->state;
  size_t count;
  if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT) {
    const rd_kafka_TopicDescription_t **topics =
        rd_kafka_DescribeTopics_result_topics(
            rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++)
      settle_absent(list, topics[i]);
    return next_round(req, list);
  }
  const rd_kafka_ListOffsetsResultInfo_t **infos =
      rd_kafka_ListOffsets_result_infos(
          rd_kafka_event_ListOffsets_result(event), &count);
  for (size_t i = 0; i < count; i++)
    take(list, infos[i]);
  for (size_t i = 0; i < list->count; i++) /* an answer that leaves some out */
    if (list->item[i].state == SENT) {
      list->item[i].state = ANSWERED;
      list->item[i].code = RD_KAFKA_RESP_ERR__NO_OFFSET;
    }
  return next_round(req, list);
}

/* delete_records{{topic, partition, before}}: before -1 is the end */

int tsh_kafka__delete_records(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  rd_kafka_topic_partition_list_t *parts =
      items ? tsh_kafka__partitions(items, "before", err) : NULL;
  if (!parts)
    return TSH_INVALID;
  for (int i = 0; i < parts->cnt; i++)
    if (parts->elems[i].offset < RD_KAFKA_OFFSET_END) {
      rd_kafka_topic_partition_list_destroy(parts);
      return tsh_kafka__invalid(err, "each item needs `before`, an offset");
    }
  int status = 0;
  if (parts->cnt) {
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(parts);
    rd_kafka_AdminOptions_t *options =
        tsh_kafka__write_options(req, RD_KAFKA_ADMIN_OP_DELETERECORDS, 0);
    rd_kafka_DeleteRecords(req->kafka->rk, &request, 1, options,
                           req->kafka->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteRecords_destroy(request);
    status = KAFKA_MORE;
  }
  rd_kafka_topic_partition_list_destroy(parts);
  return status;
}

int tsh_kafka__delete_records_read(kafka_req *req, rd_kafka_event_t *event,
                                   tsh_err *err) {
  (void)err;
  const rd_kafka_topic_partition_list_t *parts =
      rd_kafka_DeleteRecords_result_offsets(
          rd_kafka_event_DeleteRecords_result(event));
  for (int i = 0; i < parts->cnt; i++) {
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "topic", parts->elems[i].topic);
    tsh_data_add_number(req->pool, item, "partition",
                        parts->elems[i].partition);
    tsh_kafka__item(req, item, parts->elems[i].err, NULL);
    if (!parts->elems[i].err)
      tsh_data_add_number(req->pool, item, "start", parts->elems[i].offset);
  }
  return 0;
}
