/* Consumer groups and their offsets.
 *
 * Asking for a coordinator makes its topic on a cluster that has none yet, and
 * reading must create nothing: so readings look for the topic first. A group
 * of the new protocol (KIP-848) that lives is described as "Dead" by the only
 * description librdkafka knows: the state is then taken from the listing. */
#include <string.h>

#include "kafka_int.h"

static const char *type_name(rd_kafka_consumer_group_type_t type) {
  return type == RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER  ? "consumer"
         : type == RD_KAFKA_CONSUMER_GROUP_TYPE_CLASSIC ? "classic"
                                                        : "unknown";
}

static const char *group_arg(kafka_req *req, tsh_err *err) {
  const tsh_data *arg = tsh_data_at(req->args, 1);
  if (arg && arg->kind == TSH_DATA_TEXT && arg->as.text.length)
    return arg->as.text.bytes;
  tsh_kafka__invalid(err, "the first argument is a group's name");
  return NULL;
}

/* groups() */

static int list_groups(kafka_req *req) {
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
  rd_kafka_ListConsumerGroups(req->kafka->rk, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  return KAFKA_MORE;
}

int tsh_kafka__groups(kafka_req *req, tsh_err *err) {
  (void)err;
  return list_groups(req);
}

/* One broker that does not answer means a list that may not be complete. */
static int listing_error(const rd_kafka_ListConsumerGroups_result_t *result,
                         tsh_err *err) {
  size_t count;
  const rd_kafka_error_t **errors =
      rd_kafka_ListConsumerGroups_result_errors(result, &count);
  if (!count)
    return 0;
  return tsh_kafka__fail(err, rd_kafka_error_code(errors[0]),
                         rd_kafka_error_string(errors[0]));
}

int tsh_kafka__groups_read(kafka_req *req, rd_kafka_event_t *event,
                           tsh_err *err) {
  size_t count;
  const rd_kafka_ListConsumerGroups_result_t *result =
      rd_kafka_event_ListConsumerGroups_result(event);
  int status = listing_error(result, err);
  if (status)
    return status;
  const rd_kafka_ConsumerGroupListing_t **groups =
      rd_kafka_ListConsumerGroups_result_valid(result, &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_ConsumerGroupListing_t *group = groups[i];
    bool simple =
        rd_kafka_ConsumerGroupListing_is_simple_consumer_group(group) == 1;
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "group",
                      rd_kafka_ConsumerGroupListing_group_id(group));
    tsh_data_add_text(req->pool, item, "state",
                      rd_kafka_consumer_group_state_name(
                          rd_kafka_ConsumerGroupListing_state(group)));
    tsh_data_add_text(req->pool, item, "type",
                      type_name(rd_kafka_ConsumerGroupListing_type(group)));
    tsh_data_add_text(req->pool, item, "protocol_type",
                      simple ? "" : "consumer");
  }
  return 0;
}

/* describe_groups(ids): step 0 coordinator there? 1 describe 2 list */

enum { LOOKING, DESCRIBING, LISTING };

int tsh_kafka__describe_groups(kafka_req *req, tsh_err *err) {
  const tsh_data *ids = tsh_kafka__table_arg(req, 1, err);
  if (!ids)
    return TSH_INVALID;
  TSH_DATA_EACH(id, ids)
  if (id->name || id->kind != TSH_DATA_TEXT || !id->as.text.length)
    return tsh_kafka__invalid(err, "group names are a list of texts");
  if (!tsh_data_count(ids))
    return 0;
  req->step = LOOKING;
  return tsh_kafka__find_coordinator(req, err);
}

static int describe(kafka_req *req) {
  const tsh_data *ids = tsh_data_at(req->args, 1);
  const char **names =
      tsh_kafka__array(req, tsh_data_count(ids), sizeof *names);
  size_t count = 0;
  if (!names)
    return TSH_NO_MEMORY;
  TSH_DATA_EACH(id, ids)
  names[count++] = id->as.text.bytes;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
  rd_kafka_error_destroy(
      rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
  rd_kafka_DescribeConsumerGroups(req->kafka->rk, names, count, options,
                                  req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  return KAFKA_MORE;
}

static void add_absent(kafka_req *req, const tsh_data *ids) {
  TSH_DATA_EACH(id, ids) {
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "group", id->as.text.bytes);
    tsh_data_add_text(req->pool, item, "state", "Dead");
    tsh_data_add_table(req->pool, item, "members");
  }
}

static void add_partitions(kafka_req *req, tsh_data *to,
                           const rd_kafka_topic_partition_list_t *parts) {
  for (int i = 0; parts && i < parts->cnt; i++) {
    tsh_data *item = tsh_data_add_table(req->pool, to, NULL);
    tsh_data_add_text(req->pool, item, "topic", parts->elems[i].topic);
    tsh_data_add_number(req->pool, item, "partition",
                        parts->elems[i].partition);
  }
}

static void add_member(kafka_req *req, tsh_data *to,
                       const rd_kafka_MemberDescription_t *member) {
  tsh_data *item = tsh_data_add_table(req->pool, to, NULL);
  tsh_data_add_text(req->pool, item, "member_id",
                    rd_kafka_MemberDescription_consumer_id(member));
  tsh_data_add_text(req->pool, item, "client_id",
                    rd_kafka_MemberDescription_client_id(member));
  tsh_data_add_text(req->pool, item, "instance_id",
                    rd_kafka_MemberDescription_group_instance_id(member));
  tsh_data_add_text(req->pool, item, "host",
                    rd_kafka_MemberDescription_host(member));
  const rd_kafka_MemberAssignment_t *assignment =
      rd_kafka_MemberDescription_assignment(member);
  add_partitions(req, tsh_data_add_table(req->pool, item, "assignment"),
                 assignment ? rd_kafka_MemberAssignment_partitions(assignment)
                            : NULL);
}

/* The state goes in last, by name, so that the listing can put another in. */
static tsh_data *add_group(kafka_req *req,
                           const rd_kafka_ConsumerGroupDescription_t *group) {
  size_t count;
  tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
  tsh_data_add_text(req->pool, item, "group",
                    rd_kafka_ConsumerGroupDescription_group_id(group));
  tsh_kafka__add_node(req, item, "coordinator",
                      rd_kafka_ConsumerGroupDescription_coordinator(group));
  const rd_kafka_error_t *error =
      rd_kafka_ConsumerGroupDescription_error(group);
  tsh_kafka__item(req, item, error ? rd_kafka_error_code(error) : 0,
                  error ? rd_kafka_error_string(error) : NULL);
  const rd_kafka_AclOperation_t *operations =
      rd_kafka_ConsumerGroupDescription_authorized_operations(group, &count);
  tsh_kafka__add_operations(req, item, operations, count);
  tsh_data *members = tsh_data_add_table(req->pool, item, "members");
  count = rd_kafka_ConsumerGroupDescription_member_count(group);
  for (size_t i = 0; i < count; i++)
    add_member(req, members,
               rd_kafka_ConsumerGroupDescription_member(group, i));
  return item;
}

static int read_description(kafka_req *req, rd_kafka_event_t *event) {
  size_t count;
  bool dead = false;
  const rd_kafka_ConsumerGroupDescription_t **groups =
      rd_kafka_DescribeConsumerGroups_result_groups(
          rd_kafka_event_DescribeConsumerGroups_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    tsh_data *item = add_group(req, groups[i]);
    rd_kafka_consumer_group_state_t state =
        rd_kafka_ConsumerGroupDescription_state(groups[i]);
    if (tsh_data_get(item, "err"))
      continue;
    if (state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD) {
      dead = true;
      continue;
    }
    tsh_data_add_text(req->pool, item, "state",
                      rd_kafka_consumer_group_state_name(state));
    tsh_data_add_text(req->pool, item, "type", "classic");
  }
  if (!dead || req->transient > 0) /* asked again as a whole */
    return 0;
  req->step = LISTING;
  return list_groups(req);
}

static int read_listing(kafka_req *req, rd_kafka_event_t *event, tsh_err *err) {
  size_t count;
  const rd_kafka_ListConsumerGroups_result_t *result =
      rd_kafka_event_ListConsumerGroups_result(event);
  int status = listing_error(result, err);
  if (status)
    return status;
  const rd_kafka_ConsumerGroupListing_t **groups =
      rd_kafka_ListConsumerGroups_result_valid(result, &count);
  for (tsh_data *item = req->out->as.table.first; item; item = item->next) {
    if (tsh_data_get(item, "state") || tsh_data_get(item, "err"))
      continue;
    const char *name = tsh_data_text(item, "group", "");
    size_t i = 0;
    while (i < count &&
           strcmp(rd_kafka_ConsumerGroupListing_group_id(groups[i]), name))
      i++;
    tsh_data_add_text(
        req->pool, item, "state",
        i == count ? "Dead"
                   : rd_kafka_consumer_group_state_name(
                         rd_kafka_ConsumerGroupListing_state(groups[i])));
    if (i < count)
      tsh_data_add_text(
          req->pool, item, "type",
          type_name(rd_kafka_ConsumerGroupListing_type(groups[i])));
  }
  return 0;
}

int tsh_kafka__describe_groups_read(kafka_req *req, rd_kafka_event_t *event,
                                    tsh_err *err) {
  switch (req->step) {
    case LOOKING:
      if (!tsh_kafka__has_coordinator(event)) {
        add_absent(req, tsh_data_at(req->args, 1));
        return 0;
      }
      req->step = DESCRIBING;
      return describe(req);
    case DESCRIBING:
      return read_description(req, event);
    default:
      return read_listing(req, event, err);
  }
}

/* group_offsets(group, {stable = true}) */

int tsh_kafka__group_offsets(kafka_req *req, tsh_err *err) {
  if (!group_arg(req, err))
    return TSH_INVALID;
  req->step = LOOKING;
  return tsh_kafka__find_coordinator(req, err);
}

static int add_offsets(kafka_req *req, const rd_kafka_group_result_t *group,
                       bool with_offsets, tsh_err *err) {
  const rd_kafka_error_t *error = rd_kafka_group_result_error(group);
  if (error)
    return tsh_kafka__fail(err, rd_kafka_error_code(error),
                           rd_kafka_error_string(error));
  const rd_kafka_topic_partition_list_t *parts =
      rd_kafka_group_result_partitions(group);
  for (int i = 0; parts && i < parts->cnt; i++) {
    const rd_kafka_topic_partition_t *part = &parts->elems[i];
    if (with_offsets && !part->err && part->offset < 0)
      continue; /* nothing committed */
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "topic", part->topic);
    tsh_data_add_number(req->pool, item, "partition", part->partition);
    tsh_kafka__item(req, item, part->err, NULL);
    if (part->err || !with_offsets)
      continue;
    tsh_data_add_number(req->pool, item, "offset", part->offset);
    tsh_data_add_number(req->pool, item, "leader_epoch",
                        rd_kafka_topic_partition_get_leader_epoch(part));
    tsh_data_add_bytes(
        req->pool, item, "metadata",
        tsh_pool_copy(req->pool, part->metadata, part->metadata_size),
        part->metadata_size);
  }
  return 0;
}

int tsh_kafka__group_offsets_read(kafka_req *req, rd_kafka_event_t *event,
                                  tsh_err *err) {
  size_t count;
  if (req->step == DESCRIBING) {
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    return count ? add_offsets(req, groups[0], true, err) : 0;
  }
  if (!tsh_kafka__has_coordinator(event))
    return 0;
  req->step = DESCRIBING;
  rd_kafka_ListConsumerGroupOffsets_t *request =
      rd_kafka_ListConsumerGroupOffsets_new(group_arg(req, err), NULL);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
  if (tsh_data_flag(tsh_data_at(req->args, 2), "stable", true))
    rd_kafka_error_destroy(
        rd_kafka_AdminOptions_set_require_stable_offsets(options, 1));
  rd_kafka_ListConsumerGroupOffsets(req->kafka->rk, &request, 1, options,
                                    req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ListConsumerGroupOffsets_destroy(request);
  return KAFKA_MORE;
}

/* alter_group_offsets(group, {{topic, partition, offset, metadata?,
 * leader_epoch?}}) */

static int add_commit_details(rd_kafka_topic_partition_list_t *parts,
                              const tsh_data *items, tsh_err *err) {
  int i = 0;
  TSH_DATA_EACH(item, items) {
    rd_kafka_topic_partition_t *part = &parts->elems[i++];
    const tsh_data *metadata = tsh_data_get(item, "metadata");
    if (part->offset < 0)
      return tsh_kafka__invalid(err, "each item needs an offset");
    rd_kafka_topic_partition_set_leader_epoch(
        part, (int32_t)tsh_data_number(item, "leader_epoch", -1));
    if (!metadata || metadata->kind != TSH_DATA_TEXT ||
        !metadata->as.text.length)
      continue;
    part->metadata = malloc(metadata->as.text.length);
    if (!part->metadata)
      return TSH_NO_MEMORY;
    memcpy(part->metadata, metadata->as.text.bytes, metadata->as.text.length);
    part->metadata_size = metadata->as.text.length;
  }
  return 0;
}

int tsh_kafka__alter_group_offsets(kafka_req *req, tsh_err *err) {
  const char *group = group_arg(req, err);
  const tsh_data *items = group ? tsh_kafka__table_arg(req, 2, err) : NULL;
  rd_kafka_topic_partition_list_t *parts =
      items ? tsh_kafka__partitions(items, "offset", err) : NULL;
  if (!parts)
    return TSH_INVALID;
  int status = add_commit_details(parts, items, err);
  if (!status && parts->cnt) {
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(group, parts);
    rd_kafka_AdminOptions_t *options = tsh_kafka__write_options(
        req, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, 0);
    rd_kafka_AlterConsumerGroupOffsets(req->kafka->rk, &request, 1, options,
                                       req->kafka->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    status = KAFKA_MORE;
  }
  rd_kafka_topic_partition_list_destroy(parts);
  return status;
}

int tsh_kafka__alter_group_offsets_read(kafka_req *req, rd_kafka_event_t *event,
                                        tsh_err *err) {
  size_t count;
  const rd_kafka_group_result_t **groups =
      rd_kafka_AlterConsumerGroupOffsets_result_groups(
          rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
  return count ? add_offsets(req, groups[0], false, err) : 0;
}

/* delete_group_offsets(group, {{topic, partition}}) */

int tsh_kafka__delete_group_offsets(kafka_req *req, tsh_err *err) {
  const char *group = group_arg(req, err);
  const tsh_data *items = group ? tsh_kafka__table_arg(req, 2, err) : NULL;
  rd_kafka_topic_partition_list_t *parts =
      items ? tsh_kafka__partitions(items, NULL, err) : NULL;
  if (!parts)
    return TSH_INVALID;
  int status = 0;
  if (parts->cnt) {
    rd_kafka_DeleteConsumerGroupOffsets_t *request =
        rd_kafka_DeleteConsumerGroupOffsets_new(group, parts);
    rd_kafka_AdminOptions_t *options = tsh_kafka__write_options(
        req, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, 0);
    rd_kafka_DeleteConsumerGroupOffsets(req->kafka->rk, &request, 1, options,
                                        req->kafka->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    status = KAFKA_MORE;
  }
  rd_kafka_topic_partition_list_destroy(parts);
  return status;
}

int tsh_kafka__delete_group_offsets_read(kafka_req *req,
                                         rd_kafka_event_t *event,
                                         tsh_err *err) {
  size_t count;
  const rd_kafka_group_result_t **groups =
      rd_kafka_DeleteConsumerGroupOffsets_result_groups(
          rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &count);
  return count ? add_offsets(req, groups[0], false, err) : 0;
}

/* delete_groups(ids) */

int tsh_kafka__delete_groups(kafka_req *req, tsh_err *err) {
  const tsh_data *ids = tsh_kafka__table_arg(req, 1, err);
  if (!ids)
    return TSH_INVALID;
  size_t made = 0;
  rd_kafka_DeleteGroup_t **groups =
      tsh_kafka__array(req, tsh_data_count(ids), sizeof *groups);
  TSH_DATA_EACH(id, ids) {
    if (!groups || id->name || id->kind != TSH_DATA_TEXT) {
      rd_kafka_DeleteGroup_destroy_array(groups, made);
      return tsh_kafka__invalid(err, "group names are a list of texts");
    }
    groups[made++] = rd_kafka_DeleteGroup_new(id->as.text.bytes);
  }
  if (!made)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__write_options(req, RD_KAFKA_ADMIN_OP_DELETEGROUPS, 0);
  rd_kafka_DeleteGroups(req->kafka->rk, groups, made, options,
                        req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_DeleteGroup_destroy_array(groups, made);
  return KAFKA_MORE;
}

int tsh_kafka__delete_groups_read(kafka_req *req, rd_kafka_event_t *event,
                                  tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_group_result_t **groups = rd_kafka_DeleteGroups_result_groups(
      rd_kafka_event_DeleteGroups_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[i]);
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "group",
                      rd_kafka_group_result_name(groups[i]));
    tsh_kafka__item(req, item, error ? rd_kafka_error_code(error) : 0,
                    error ? rd_kafka_error_string(error) : NULL);
  }
  return 0;
}
