/* Who may do what: ACLs.
 *
 * Kafka's resource, operation and pattern codes have one word each here, the
 * same in answers, in new ACLs and in filters. */
#include <string.h>

#include "kafka_int.h"

typedef struct word {
  int code;
  const char *name;
} word;

static const word resources[] = {
    {RD_KAFKA_RESOURCE_ANY, "any"},
    {RD_KAFKA_RESOURCE_TOPIC, "topic"},
    {RD_KAFKA_RESOURCE_GROUP, "group"},
    {RD_KAFKA_RESOURCE_BROKER, "cluster"},
    {RD_KAFKA_RESOURCE_TRANSACTIONAL_ID, "transactional_id"},
    {0, NULL}};

static const word patterns[] = {
    {RD_KAFKA_RESOURCE_PATTERN_ANY, "any"},
    {RD_KAFKA_RESOURCE_PATTERN_MATCH, "match"},
    {RD_KAFKA_RESOURCE_PATTERN_LITERAL, "literal"},
    {RD_KAFKA_RESOURCE_PATTERN_PREFIXED, "prefixed"},
    {0, NULL}};

static const word operations[] = {
    {RD_KAFKA_ACL_OPERATION_ANY, "any"},
    {RD_KAFKA_ACL_OPERATION_ALL, "all"},
    {RD_KAFKA_ACL_OPERATION_READ, "read"},
    {RD_KAFKA_ACL_OPERATION_WRITE, "write"},
    {RD_KAFKA_ACL_OPERATION_CREATE, "create"},
    {RD_KAFKA_ACL_OPERATION_DELETE, "delete"},
    {RD_KAFKA_ACL_OPERATION_ALTER, "alter"},
    {RD_KAFKA_ACL_OPERATION_DESCRIBE, "describe"},
    {RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION, "cluster_action"},
    {RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS, "describe_configs"},
    {RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS, "alter_configs"},
    {RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE, "idempotent_write"},
    {0, NULL}};

static const word permissions[] = {
    {RD_KAFKA_ACL_PERMISSION_TYPE_ANY, "any"},
    {RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, "allow"},
    {RD_KAFKA_ACL_PERMISSION_TYPE_DENY, "deny"},
    {0, NULL}};

static const char *name_of(const word *words, int code) {
  while (words->name && words->code != code)
    words++;
  return words->name ? words->name : "unknown";
}

/* 0 is "unknown" in all of Kafka's enumerations. */
static int code_of(const word *words, const char *name) {
  while (words->name && strcmp(words->name, name) != 0)
    words++;
  return words->name ? words->code : 0;
}

const char *tsh_kafka__operation_name(rd_kafka_AclOperation_t operation) {
  return name_of(operations, (int)operation);
}

static int code_in(const tsh_data *item, const char *field, const word *words,
                   const char *fallback, tsh_err *err) {
  const char *name = tsh_data_text(item, field, fallback);
  int code = name ? code_of(words, name) : 0;
  if (!code)
    tsh_err_set(err, TSH_INVALID, "kafka", 0, "an ACL's %s cannot be '%s'",
                field, name ? name : "nothing");
  return code;
}

/* A binding, or with `filter` a filter in which what is left out matches. */
static rd_kafka_AclBinding_t *binding(const tsh_data *item, bool filter,
                                      tsh_err *err) {
  const char *any = filter ? "any" : NULL;
  const char *name = tsh_data_text(item, "name", NULL);
  const char *principal = tsh_data_text(item, "principal", NULL);
  const char *host = tsh_data_text(item, "host", filter ? NULL : "*");
  int resource = code_in(item, "resource_type", resources, any, err);
  int pattern =
      code_in(item, "pattern", patterns, filter ? any : "literal", err);
  int operation = code_in(item, "operation", operations, any, err);
  int permission =
      code_in(item, "permission", permissions, filter ? any : "allow", err);
  char why[256];
  if (!resource || !pattern || !operation || !permission)
    return NULL;
  rd_kafka_AclBinding_t *acl =
      (filter ? rd_kafka_AclBindingFilter_new : rd_kafka_AclBinding_new)(
          (rd_kafka_ResourceType_t)resource, name,
          (rd_kafka_ResourcePatternType_t)pattern, principal, host,
          (rd_kafka_AclOperation_t)operation,
          (rd_kafka_AclPermissionType_t)permission, why, sizeof why);
  if (!acl)
    tsh_kafka__invalid(err, why);
  return acl;
}

static rd_kafka_AclBinding_t **bindings(kafka_req *req, bool filter,
                                        size_t *count, tsh_err *err) {
  const tsh_data *items = tsh_kafka__table_arg(req, 1, err);
  rd_kafka_AclBinding_t **list =
      items ? tsh_kafka__array(req, tsh_data_count(items), sizeof *list) : NULL;
  *count = 0;
  TSH_DATA_EACH(item, items) {
    rd_kafka_AclBinding_t *acl = list ? binding(item, filter, err) : NULL;
    if (!acl) {
      rd_kafka_AclBinding_destroy_array(list, *count);
      return NULL;
    }
    list[(*count)++] = acl;
  }
  return list;
}

static tsh_data *add_acl(kafka_req *req, tsh_data *to,
                         const rd_kafka_AclBinding_t *acl) {
  tsh_data *item = tsh_data_add_table(req->pool, to, NULL);
  const struct {
    const char *field, *text;
  } fields[] = {
      {"resource_type",
       name_of(resources, (int)rd_kafka_AclBinding_restype(acl))},
      {"name", rd_kafka_AclBinding_name(acl)},
      {"pattern",
       name_of(patterns, (int)rd_kafka_AclBinding_resource_pattern_type(acl))},
      {"principal", rd_kafka_AclBinding_principal(acl)},
      {"host", rd_kafka_AclBinding_host(acl)},
      {"operation",
       name_of(operations, (int)rd_kafka_AclBinding_operation(acl))},
      {"permission",
       name_of(permissions, (int)rd_kafka_AclBinding_permission_type(acl))},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    tsh_data_add_text(req->pool, item, fields[i].field, fields[i].text);
  return item;
}

/* acls(filter): the question whether we may look, then the list */

int tsh_kafka__acls(kafka_req *req, tsh_err *err) {
  rd_kafka_AclBinding_t *acl = binding(tsh_data_at(req->args, 1), true, err);
  if (!acl)
    return TSH_INVALID;
  rd_kafka_AclBinding_destroy(acl);
  req->step = KAFKA_MAY_WE;
  return tsh_kafka__cluster(req, err);
}

static int list_acls(kafka_req *req, tsh_err *err) {
  rd_kafka_AclBinding_t *acl = binding(tsh_data_at(req->args, 1), true, err);
  req->step = KAFKA_LIST;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
  rd_kafka_DescribeAcls(req->kafka->rk, acl, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_AclBinding_destroy(acl);
  return KAFKA_MORE;
}

int tsh_kafka__acls_read(kafka_req *req, rd_kafka_event_t *event,
                         tsh_err *err) {
  if (req->step == KAFKA_MAY_WE)
    return tsh_kafka__may_describe(event)
               ? list_acls(req, err)
               : tsh_kafka__fail(err,
                                 RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                                 "ACLs need the right to describe the cluster");
  size_t count;
  const rd_kafka_AclBinding_t **acls = rd_kafka_DescribeAcls_result_acls(
      rd_kafka_event_DescribeAcls_result(event), &count);
  for (size_t i = 0; i < count; i++)
    add_acl(req, req->out, acls[i]);
  return 0;
}

/* create_acls(list) */

int tsh_kafka__create_acls(kafka_req *req, tsh_err *err) {
  size_t count;
  rd_kafka_AclBinding_t **list = bindings(req, false, &count, err);
  if (!list)
    return TSH_INVALID;
  if (!count)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_CREATEACLS);
  rd_kafka_CreateAcls(req->kafka->rk, list, count, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_AclBinding_destroy_array(list, count);
  return KAFKA_MORE;
}

int tsh_kafka__create_acls_read(kafka_req *req, rd_kafka_event_t *event,
                                tsh_err *err) {
  (void)err;
  size_t count;
  const rd_kafka_acl_result_t **list = rd_kafka_CreateAcls_result_acls(
      rd_kafka_event_CreateAcls_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t *error = rd_kafka_acl_result_error(list[i]);
    tsh_kafka__item(req, tsh_data_add_table(req->pool, req->out, NULL),
                    error ? rd_kafka_error_code(error) : 0,
                    error ? rd_kafka_error_string(error) : NULL);
  }
  return 0;
}

/* delete_acls(filters) -> per filter the ACLs that went */

int tsh_kafka__delete_acls(kafka_req *req, tsh_err *err) {
  size_t count;
  rd_kafka_AclBinding_t **list = bindings(req, true, &count, err);
  if (!list)
    return TSH_INVALID;
  if (!count)
    return 0;
  rd_kafka_AdminOptions_t *options =
      tsh_kafka__options(req, RD_KAFKA_ADMIN_OP_DELETEACLS);
  rd_kafka_DeleteAcls(req->kafka->rk, list, count, options, req->kafka->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_AclBinding_destroy_array(list, count);
  return KAFKA_MORE;
}

int tsh_kafka__delete_acls_read(kafka_req *req, rd_kafka_event_t *event,
                                tsh_err *err) {
  (void)err;
  size_t count, gone;
  const rd_kafka_DeleteAcls_result_response_t **list =
      rd_kafka_DeleteAcls_result_responses(
          rd_kafka_event_DeleteAcls_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const rd_kafka_error_t *error =
        rd_kafka_DeleteAcls_result_response_error(list[i]);
    tsh_data *item = tsh_data_add_table(req->pool, req->out, NULL);
    tsh_kafka__item(req, item, error ? rd_kafka_error_code(error) : 0,
                    error ? rd_kafka_error_string(error) : NULL);
    tsh_data *deleted = tsh_data_add_table(req->pool, item, "deleted");
    const rd_kafka_AclBinding_t **acls =
        rd_kafka_DeleteAcls_result_response_matching_acls(list[i], &gone);
    for (size_t k = 0; k < gone; k++)
      add_acl(req, deleted, acls[k]);
  }
  return 0;
}
