/* What all admin calls share, and the cluster itself: id, brokers, configs. */
#include <string.h>

#include "kafka_int.h"

/* Shared. */

int tsh_kafka__invalid(tsh_err *err, const char *what) {
  return tsh_err_set(err, TSH_INVALID, "kafka", 0, "%s", what);
}

rd_kafka_AdminOptions_t *tsh_kafka__options(kafka_req *req,
                                            rd_kafka_admin_op_t op) {
  enum { SHORTEST_MS = 100 };
  tsh_kafka *kafka = req->kafka;
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(kafka->rk, op);
  uint64_t now = tsh_loop_now(kafka->loop);
  int left = req->deadline > now + SHORTEST_MS ? (int)(req->deadline - now)
                                               : SHORTEST_MS;
  char why[128];
  rd_kafka_AdminOptions_set_request_timeout(options, left, why, sizeof why);
  rd_kafka_AdminOptions_set_opaque(options, req);
  req->pending++;
  return options;
}

rd_kafka_AdminOptions_t *tsh_kafka__write_options(kafka_req *req,
                                                  rd_kafka_admin_op_t op,
                                                  size_t position) {
  rd_kafka_AdminOptions_t *options = tsh_kafka__options(req, op);
  char why[128];
  /* The broker's own wait for the change; always within the request's. */
  rd_kafka_AdminOptions_set_operation_timeout(options, req->kafka->timeout_ms,
                                              why, sizeof why);
  if (position &&
      tsh_data_flag(tsh_data_at(req->args, position), "validate_only", false))
    rd_kafka_AdminOptions_set_validate_only(options, 1, why, sizeof why);
  return options;
}

void *tsh_kafka__array(kafka_req *req, size_t count, size_t size) {
  return tsh_pool_alloc(req->pool, (count ? count : 1) * size);
}

rd_kafka_topic_partition_list_t *
tsh_kafka__partitions(const tsh_data *list, const char *offset, tsh_err *err) {
  rd_kafka_topic_partition_list_t *parts =
      rd_kafka_topic_partition_list_new((int)tsh_data_count(list));
  TSH_DATA_EACH(item, list) {
    const char *topic = tsh_data_text(item, "topic", NULL);
    int64_t partition = tsh_data_number(item, "partition", -1);
    if (!topic || partition < 0 || partition > INT32_MAX) {
      tsh_kafka__invalid(err, "each item needs a topic and a partition");
      rd_kafka_topic_partition_list_destroy(parts);
      return NULL;
    }
    rd_kafka_topic_partition_t *part =
        rd_kafka_topic_partition_list_add(parts, topic, (int32_t)partition);
    if (offset)
      part->offset = tsh_data_number(item, offset, RD_KAFKA_OFFSET_INVALID);
  }
  return parts;
}

void tsh_kafka__add_operations(kafka_req *req, tsh_data *to,
                               const rd_kafka_AclOperation_t *operations,
                               size_t count) {
  tsh_data *list =
      operations ? tsh_data_add_table(req->pool, to, "operations") : NULL;
  for (size_t i = 0; operations && i < count; i++)
    tsh_data_add_text(req->pool, list, NULL,
                      tsh_kafka__operation_name(operations[i]));
}

/* The first broker's own list of topics tells whether the coordinator's topic
 * is there. */
int tsh_kafka__find_coordinator(kafka_req *req, tsh_err *err) {
  const char *names[] = {"__consumer_offsets"};
  (void)err;
  rd_kafka_TopicCollection_t *topics =
      rd_kafka_TopicCollection_of_topic_names(names, 1);
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
  rd_kafka_DescribeTopics(req->kafka->rk, topics, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_TopicCollection_destroy(topics);
  return KAFKA_MORE;
}

bool tsh_kafka__has_coordinator(rd_kafka_event_t *event) {
  size_t count;
  const rd_kafka_TopicDescription_t **topics =
      rd_kafka_DescribeTopics_result_topics(
          rd_kafka_event_DescribeTopics_result(event), &count);
  if (count != 1)
    return false;
  const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topics[0]);
  /* "denied" is no "absent": the group call itself will say what is allowed. */
  return !error ||
         rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* cluster() */

int tsh_kafka__cluster(kafka_req *req, tsh_err *err) {
  (void)err;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER);
  rd_kafka_error_destroy(
      rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
  rd_kafka_DescribeCluster(req->kafka->rk, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  return KAFKA_MORE;
}

void tsh_kafka__add_node(kafka_req *req, tsh_data *to, const char *name,
                         const rd_kafka_Node_t *node) {
  if (!node)
    return;
  tsh_data *broker = tsh_data_add_table(req->pool, to, name);
  tsh_data_add_number(req->pool, broker, "id", rd_kafka_Node_id(node));
  tsh_data_add_text(req->pool, broker, "host", rd_kafka_Node_host(node));
  tsh_data_add_number(req->pool, broker, "port", rd_kafka_Node_port(node));
  tsh_data_add_text(req->pool, broker, "rack", rd_kafka_Node_rack(node));
}

int tsh_kafka__cluster_read(kafka_req *req, rd_kafka_event_t *event,
                            tsh_err *err) {
  (void)err;
  const rd_kafka_DescribeCluster_result_t *result =
      rd_kafka_event_DescribeCluster_result(event);
  size_t count;
  tsh_data_add_text(req->pool, req->out, "id",
                    rd_kafka_DescribeCluster_result_cluster_id(result));
  const rd_kafka_Node_t *controller =
      rd_kafka_DescribeCluster_result_controller(result);
  if (controller)
    tsh_data_add_number(req->pool, req->out, "controller",
                        rd_kafka_Node_id(controller));
  tsh_data *brokers = tsh_data_add_table(req->pool, req->out, "brokers");
  const rd_kafka_Node_t **nodes =
      rd_kafka_DescribeCluster_result_nodes(result, &count);
  for (size_t i = 0; i < count; i++)
    tsh_kafka__add_node(req, brokers, NULL, nodes[i]);
  const rd_kafka_AclOperation_t *operations =
      rd_kafka_DescribeCluster_result_authorized_operations(result, &count);
  tsh_kafka__add_operations(req, req->out, operations, count);
  return 0;
}

/* configs(type, names): brokers are asked one at a time, each about itself. */

static const struct {
  const char *name;
  rd_kafka_ResourceType_t type;
} config_types[] = {{"topic", RD_KAFKA_RESOURCE_TOPIC},
                    {"broker", RD_KAFKA_RESOURCE_BROKER},
                    {"group", RD_KAFKA_RESOURCE_GROUP}};

static rd_kafka_ResourceType_t config_type(const char *name, tsh_err *err) {
  for (size_t i = 0; name && i < sizeof config_types / sizeof *config_types;
       i++)
    if (strcmp(config_types[i].name, name) == 0)
      return config_types[i].type;
  tsh_kafka__invalid(err, "the type of a config is topic, broker or group");
  return RD_KAFKA_RESOURCE_UNKNOWN;
}

int tsh_kafka__configs(kafka_req *req, tsh_err *err) {
  const tsh_data *type_arg = tsh_data_at(req->args, 1);
  const tsh_data *names = tsh_kafka__table_arg(req, 2, err);
  rd_kafka_ResourceType_t type = config_type(
      type_arg && type_arg->kind == TSH_DATA_TEXT ? type_arg->as.text.bytes
                                                  : NULL,
      err);
  if (type == RD_KAFKA_RESOURCE_UNKNOWN || !names)
    return TSH_INVALID;
  size_t count = tsh_data_count(names), first = 0;
  if ((size_t)req->step >= count)
    return 0;
  if (type == RD_KAFKA_RESOURCE_BROKER) {
    first = (size_t)req->step;
    count = first + 1;
  }
  req->step = (int)count;
  rd_kafka_ConfigResource_t **list = tsh_kafka__array(req, count, sizeof *list);
  if (!list)
    return TSH_NO_MEMORY;
  for (size_t i = first; i < count; i++) {
    const tsh_data *name = tsh_data_at(names, i + 1);
    if (name->kind != TSH_DATA_TEXT || !name->as.text.length) {
      rd_kafka_ConfigResource_destroy_array(list, i - first);
      return tsh_kafka__invalid(err, "names of configs are texts");
    }
    list[i - first] = rd_kafka_ConfigResource_new(type, name->as.text.bytes);
  }
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_DescribeConfigs(req->kafka->rk, list, count - first, options,
                           req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(list, count - first);
  return KAFKA_MORE;
}

static const char *source_name(rd_kafka_ConfigSource_t source) {
  static const char *const names[] = {
      [RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG] = "topic",
      [RD_KAFKA_CONFIG_SOURCE_DYNAMIC_BROKER_CONFIG] = "broker",
      [RD_KAFKA_CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER_CONFIG] = "cluster",
      [RD_KAFKA_CONFIG_SOURCE_STATIC_BROKER_CONFIG] = "static",
      [RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG] = "default",
  };
  const size_t known = sizeof names / sizeof *names;
  return (size_t)source < known && names[source] ? names[source] : "unknown";
}

static void add_config(kafka_req *req, tsh_data *to,
                       const rd_kafka_ConfigEntry_t *entry) {
  tsh_data *config = tsh_data_add_table(
      req->pool, to,
      tsh_pool_text(req->pool, rd_kafka_ConfigEntry_name(entry)));
  rd_kafka_ConfigSource_t source = rd_kafka_ConfigEntry_source(entry);
  tsh_data_add_text(req->pool, config, "value",
                    rd_kafka_ConfigEntry_value(entry));
  tsh_data_add_text(req->pool, config, "source", source_name(source));
  tsh_data_add_flag(req->pool, config, "read_only",
                    rd_kafka_ConfigEntry_is_read_only(entry) == 1);
  tsh_data_add_flag(req->pool, config, "sensitive",
                    rd_kafka_ConfigEntry_is_sensitive(entry) == 1);
  tsh_data_add_flag(req->pool, config, "default",
                    source == RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG);
}

static int config_error(const rd_kafka_ConfigResource_t *resource,
                        rd_kafka_resp_err_t code, tsh_err *err) {
  const char *why = rd_kafka_ConfigResource_error_string(resource);
  char text[512];
  snprintf(text, sizeof text, "settings of %s: %s",
           rd_kafka_ConfigResource_name(resource),
           why ? why : rd_kafka_err2str(code));
  return tsh_kafka__fail(err, code, text);
}

int tsh_kafka__configs_read(kafka_req *req, rd_kafka_event_t *event,
                            tsh_err *err) {
  size_t count, entries;
  const rd_kafka_ConfigResource_t **list =
      rd_kafka_DescribeConfigs_result_resources(
          rd_kafka_event_DescribeConfigs_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(list[i]);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
      continue;
    if (code)
      return config_error(list[i], code, err);
    tsh_data *resource = tsh_data_add_table(
        req->pool, req->out,
        tsh_pool_text(req->pool, rd_kafka_ConfigResource_name(list[i])));
    const rd_kafka_ConfigEntry_t **entry =
        rd_kafka_ConfigResource_configs(list[i], &entries);
    for (size_t k = 0; k < entries; k++)
      add_config(req, resource, entry[k]);
  }
  return tsh_kafka__configs(req, err); /* the next broker, or done */
}

/* alter_configs{{type, name, set={k=v}, delete={k}}}, {validate_only} */

static int add_change(rd_kafka_ConfigResource_t *resource, const char *name,
                      rd_kafka_AlterConfigOpType_t op, const char *value,
                      tsh_err *err) {
  return tsh_kafka__fail_error(
      err, rd_kafka_ConfigResource_add_incremental_config(resource, name, op,
                                                          value));
}

static int add_changes(rd_kafka_ConfigResource_t *resource,
                       const tsh_data *item, tsh_err *err) {
  int status = 0;
  TSH_DATA_EACH(set, tsh_data_get(item, "set")) {
    if (!set->name || set->kind != TSH_DATA_TEXT)
      return tsh_kafka__invalid(err, "set is a table of name = \"value\"");
    status = add_change(resource, set->name, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                        set->as.text.bytes, err);
    if (status)
      return status;
  }
  TSH_DATA_EACH(name, tsh_data_get(item, "delete")) {
    if (name->name || name->kind != TSH_DATA_TEXT)
      return tsh_kafka__invalid(err, "delete is a list of names");
    status = add_change(resource, name->as.text.bytes,
                        RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, NULL, err);
    if (status)
      return status;
  }
  return status;
}

int tsh_kafka__alter_configs(kafka_req *req, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  if (!items)
    return TSH_INVALID;
  size_t made = 0;
  int status = 0;
  rd_kafka_ConfigResource_t **list =
      tsh_kafka__array(req, tsh_data_count(items), sizeof *list);
  if (!list)
    return TSH_NO_MEMORY;
  for (const tsh_data *item = tsh_data_first(items); item && !status;
       item = item->next) {
    const char *name = tsh_data_text(item, "name", NULL);
    rd_kafka_ResourceType_t type =
        config_type(tsh_data_text(item, "type", "topic"), err);
    if (type == RD_KAFKA_RESOURCE_UNKNOWN || !name) {
      status = tsh_kafka__invalid(err, "each config change needs a name");
      break;
    }
    list[made] = rd_kafka_ConfigResource_new(type, name);
    status = add_changes(list[made++], item, err);
  }
  if (!status && made) {
    rd_kafka_AdminOptions_t *options = tsh_kafka__write_options(
        req, RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, 2);
    rd_kafka_IncrementalAlterConfigs(req->kafka->rk, list, made, options,
                                     req->kafka->queue);
    rd_kafka_AdminOptions_destroy(options);
    status = KAFKA_MORE;
  }
  rd_kafka_ConfigResource_destroy_array(list, made);
  return status;
}

int tsh_kafka__alter_configs_read(kafka_req *req, rd_kafka_event_t *event,
                                  tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_ConfigResource_t **list =
      rd_kafka_IncrementalAlterConfigs_result_resources(
          rd_kafka_event_IncrementalAlterConfigs_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_data_add_text(req->pool, item, "name",
                      rd_kafka_ConfigResource_name(list[i]));
    tsh_kafka__item(req, item, rd_kafka_ConfigResource_error(list[i]),
                    rd_kafka_ConfigResource_error_string(list[i]));
  }
  return 0;
}
