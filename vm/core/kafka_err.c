/* Kafka's error codes as our kinds: one table, so that callers can act on the
 * kind and still find the native code. */
#include <string.h>

#include "kafka_int.h"

typedef struct meaning {
  int code;
  tsh_kind kind;
  bool retriable;
} meaning;

#define E(NAME) RD_KAFKA_RESP_ERR_##NAME
static const meaning meanings[] = {
    {E(_TIMED_OUT), TSH_TIMEOUT, true},
    {E(_TIMED_OUT_QUEUE), TSH_TIMEOUT, true},
    {E(_MSG_TIMED_OUT), TSH_TIMEOUT, true},
    {E(REQUEST_TIMED_OUT), TSH_TIMEOUT, true},
    {E(_TRANSPORT), TSH_UNAVAILABLE, true},
    {E(_ALL_BROKERS_DOWN), TSH_UNAVAILABLE, true},
    {E(_RESOLVE), TSH_UNAVAILABLE, true},
    {E(_WAIT_COORD), TSH_UNAVAILABLE, true},
    {E(LEADER_NOT_AVAILABLE), TSH_UNAVAILABLE, true},
    {E(NOT_LEADER_FOR_PARTITION), TSH_UNAVAILABLE, true},
    {E(BROKER_NOT_AVAILABLE), TSH_UNAVAILABLE, true},
    {E(REPLICA_NOT_AVAILABLE), TSH_UNAVAILABLE, true},
    {E(NETWORK_EXCEPTION), TSH_UNAVAILABLE, true},
    {E(COORDINATOR_LOAD_IN_PROGRESS), TSH_UNAVAILABLE, true},
    {E(COORDINATOR_NOT_AVAILABLE), TSH_UNAVAILABLE, true},
    {E(NOT_COORDINATOR), TSH_UNAVAILABLE, true},
    {E(NOT_CONTROLLER), TSH_UNAVAILABLE, true},
    {E(NOT_ENOUGH_REPLICAS), TSH_UNAVAILABLE, true},
    {E(NOT_ENOUGH_REPLICAS_AFTER_APPEND), TSH_UNAVAILABLE, true},
    {E(KAFKA_STORAGE_ERROR), TSH_UNAVAILABLE, true},
    {E(OFFSET_NOT_AVAILABLE), TSH_UNAVAILABLE, true},
    {E(UNSTABLE_OFFSET_COMMIT), TSH_UNAVAILABLE, true},
    {E(SECURITY_DISABLED), TSH_UNAVAILABLE, false},
    {E(_AUTHENTICATION), TSH_AUTH, false},
    {E(_SSL), TSH_AUTH, false},
    {E(SASL_AUTHENTICATION_FAILED), TSH_AUTH, false},
    {E(UNSUPPORTED_SASL_MECHANISM), TSH_AUTH, false},
    {E(ILLEGAL_SASL_STATE), TSH_AUTH, false},
    {E(TOPIC_AUTHORIZATION_FAILED), TSH_DENIED, false},
    {E(GROUP_AUTHORIZATION_FAILED), TSH_DENIED, false},
    {E(CLUSTER_AUTHORIZATION_FAILED), TSH_DENIED, false},
    {E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), TSH_DENIED, false},
    {E(POLICY_VIOLATION), TSH_DENIED, false},
    {E(TOPIC_DELETION_DISABLED), TSH_DENIED, false},
    {E(_UNKNOWN_TOPIC), TSH_NOT_FOUND, false},
    {E(_UNKNOWN_PARTITION), TSH_NOT_FOUND, false},
    {E(_UNKNOWN_GROUP), TSH_NOT_FOUND, false},
    {E(_NOENT), TSH_NOT_FOUND, false},
    {E(_AUTO_OFFSET_RESET), TSH_NOT_FOUND, false},
    {E(OFFSET_OUT_OF_RANGE), TSH_NOT_FOUND, false},
    {E(UNKNOWN_TOPIC_OR_PART), TSH_NOT_FOUND, false},
    {E(UNKNOWN_TOPIC_ID), TSH_NOT_FOUND, false},
    {E(GROUP_ID_NOT_FOUND), TSH_NOT_FOUND, false},
    {E(RESOURCE_NOT_FOUND), TSH_NOT_FOUND, false},
    {E(TOPIC_ALREADY_EXISTS), TSH_EXISTS, false},
    {E(DUPLICATE_RESOURCE), TSH_EXISTS, false},
    {E(UNKNOWN_MEMBER_ID), TSH_CONFLICT, false},
    {E(ILLEGAL_GENERATION), TSH_CONFLICT, false},
    {E(NON_EMPTY_GROUP), TSH_CONFLICT, false},
    {E(GROUP_SUBSCRIBED_TO_TOPIC), TSH_CONFLICT, false},
    {E(REBALANCE_IN_PROGRESS), TSH_CONFLICT, true},
    {E(REASSIGNMENT_IN_PROGRESS), TSH_CONFLICT, true},
    {E(CONCURRENT_TRANSACTIONS), TSH_CONFLICT, true},
    {E(PRODUCER_FENCED), TSH_CONFLICT, false},
    {E(_FENCED), TSH_CONFLICT, false},
    {E(INVALID_PRODUCER_EPOCH), TSH_CONFLICT, false},
    {E(_PREV_IN_PROGRESS), TSH_CONFLICT, true},
    {E(_LOG_TRUNCATION), TSH_CONFLICT, false},
    {E(_INVALID_ARG), TSH_INVALID, false},
    {E(_STATE), TSH_INVALID, false},
    {E(_NOT_CONFIGURED), TSH_INVALID, false},
    {E(TOPIC_EXCEPTION), TSH_INVALID, false},
    {E(INVALID_GROUP_ID), TSH_INVALID, false},
    {E(INVALID_TIMESTAMP), TSH_INVALID, false},
    {E(INVALID_PARTITIONS), TSH_INVALID, false},
    {E(INVALID_REPLICATION_FACTOR), TSH_INVALID, false},
    {E(INVALID_REPLICA_ASSIGNMENT), TSH_INVALID, false},
    {E(INVALID_CONFIG), TSH_INVALID, false},
    {E(INVALID_REQUEST), TSH_INVALID, false},
    {E(INVALID_TXN_STATE), TSH_INVALID, false},
    {E(INVALID_TRANSACTION_TIMEOUT), TSH_INVALID, false},
    {E(INVALID_RECORD), TSH_INVALID, false},
    {E(UNACCEPTABLE_CREDENTIAL), TSH_INVALID, false},
    {E(INVALID_PRINCIPAL_TYPE), TSH_INVALID, false},
    {E(_BAD_MSG), TSH_PROTOCOL, false},
    {E(_BAD_COMPRESSION), TSH_PROTOCOL, false},
    {E(INVALID_MSG), TSH_PROTOCOL, false},
    {E(UNSUPPORTED_VERSION), TSH_PROTOCOL, false},
    {E(_UNSUPPORTED_FEATURE), TSH_PROTOCOL, false},
    {E(MSG_SIZE_TOO_LARGE), TSH_LIMIT, false},
    {E(RECORD_LIST_TOO_LARGE), TSH_LIMIT, false},
    {E(_QUEUE_FULL), TSH_LIMIT, true},
    {E(THROTTLING_QUOTA_EXCEEDED), TSH_LIMIT, true},
    {E(_DESTROY), TSH_CLOSED, false},
    {E(_PURGE_QUEUE), TSH_CANCELED, false},
    {E(_PURGE_INFLIGHT), TSH_CANCELED, false},
};

static const meaning *find(int code) {
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
    if (meanings[i].code == code)
      return &meanings[i];
  return NULL;
}

/* Without what librdkafka adds about itself: "(after 3ms in state CONNECT,
 * 7 identical error(s) suppressed)". */
static int length_of(const char *text) {
  const char *more = strstr(text, " (after ");
  return (int)(more && strstr(more, "ms in state ") ? (size_t)(more - text)
                                                    : strlen(text));
}

int tsh_kafka__fail(tsh_err *err, rd_kafka_resp_err_t code, const char *text) {
  const meaning *m = find(code);
  const char *name = rd_kafka_err2name(code);
  if (text == NULL || *text == '\0')
    text = rd_kafka_err2str(code);
  int kind = tsh_err_set(err, m ? m->kind : TSH_IO, "kafka", code, "%.*s (%s)",
                         length_of(text), text, *name == '_' ? name + 1 : name);
  if (err)
    err->retriable = m && m->retriable;
  return kind;
}

int tsh_kafka__fail_error(tsh_err *err, rd_kafka_error_t *error) {
  if (!error)
    return 0;
  int kind = tsh_kafka__fail(err, rd_kafka_error_code(error),
                             rd_kafka_error_string(error));
  if (err) {
    err->retriable = err->retriable || rd_kafka_error_is_retriable(error);
    err->fatal = rd_kafka_error_is_fatal(error);
  }
  rd_kafka_error_destroy(error);
  return kind;
}

/* Answers of a coordinator or leader that is being made or is moving. */
bool tsh_kafka__is_transient(rd_kafka_resp_err_t code) {
  static const rd_kafka_resp_err_t transient[] = {
      E(NOT_COORDINATOR),      E(COORDINATOR_NOT_AVAILABLE),
      E(_WAIT_COORD),          E(COORDINATOR_LOAD_IN_PROGRESS),
      E(LEADER_NOT_AVAILABLE), E(NOT_LEADER_FOR_PARTITION),
      E(OFFSET_NOT_AVAILABLE), E(FENCED_LEADER_EPOCH),
      E(UNKNOWN_LEADER_EPOCH)};
  for (size_t i = 0; i < sizeof transient / sizeof *transient; i++)
    if (transient[i] == code)
      return true;
  return false;
}
