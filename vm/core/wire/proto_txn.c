/* The table of messages, part 2: producer ids, transactions, markers.
 *
 * Field names, types and versions are those of Kafka 4.3; see proto_fields.h.
 */
#include "proto_fields.h"

/* clang-format off */

static const tsh_field init_producer_id_request[] = {
  F(TEXT, TransactionalId, 0, NULL_FROM(0)),
  F(I32, TransactionTimeoutMs, 0),
  F(I64, ProducerId, 3, .preset = -1),
  F(I16, ProducerEpoch, 3, .preset = -1),
  END
};

static const tsh_field init_producer_id_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 0),
  F(I64, ProducerId, 0, .preset = -1),
  F(I16, ProducerEpoch, 0),
  END
};

static const tsh_field txn_topic[] = {
  F(TEXT, Name, 0),
  LIST(I32, Partitions, 0),
  END
};

static const tsh_field add_partitions_to_txn_request[] = {
  LIST(STRUCT, Transactions, 4, FIELDS(
    F(TEXT, TransactionalId, 4),
    F(I64, ProducerId, 4),
    F(I16, ProducerEpoch, 4),
    F(BOOL, VerifyOnly, 4),
    LIST(STRUCT, Topics, 4,
         .fields = txn_topic))),
  F(TEXT, V3AndBelowTransactionalId, 0, .gone = 4),
  F(I64, V3AndBelowProducerId, 0, .gone = 4),
  F(I16, V3AndBelowProducerEpoch, 0, .gone = 4),
  LIST(STRUCT, V3AndBelowTopics, 0, .gone = 4,
       .fields = txn_topic),
  END
};

static const tsh_field txn_partition_result[] = {
  F(I32, PartitionIndex, 0),
  F(I16, PartitionErrorCode, 0),
  END
};

static const tsh_field txn_topic_result[] = {
  F(TEXT, Name, 0),
  LIST(STRUCT, ResultsByPartition, 0,
       .fields = txn_partition_result),
  END
};

static const tsh_field add_partitions_to_txn_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 4),
  LIST(STRUCT, ResultsByTransaction, 4, FIELDS(
    F(TEXT, TransactionalId, 4),
    LIST(STRUCT, TopicResults, 4,
         .fields = txn_topic_result))),
  LIST(STRUCT, ResultsByTopicV3AndBelow, 0, .gone = 4,
       .fields = txn_topic_result),
  END
};

static const tsh_field end_txn_request[] = {
  F(TEXT, TransactionalId, 0),
  F(I64, ProducerId, 0),
  F(I16, ProducerEpoch, 0),
  F(BOOL, Committed, 0),
  END
};

static const tsh_field end_txn_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 0),
  F(I64, ProducerId, 5, .preset = -1),
  F(I16, ProducerEpoch, 5, .preset = -1),
  END
};

static const tsh_field write_txn_markers_request[] = {
  LIST(STRUCT, Markers, 0, FIELDS(
    F(I64, ProducerId, 0),
    F(I16, ProducerEpoch, 0),
    F(BOOL, TransactionResult, 0),
    LIST(STRUCT, Topics, 0, FIELDS(
      F(TEXT, Name, 0),
      LIST(I32, PartitionIndexes, 0))),
    F(I32, CoordinatorEpoch, 0),
    F(I8, TransactionVersion, 2))),
  END
};

static const tsh_field write_txn_markers_response[] = {
  LIST(STRUCT, Markers, 0, FIELDS(
    F(I64, ProducerId, 0),
    LIST(STRUCT, Topics, 0, FIELDS(
      F(TEXT, Name, 0),
      LIST(STRUCT, Partitions, 0, FIELDS(
        F(I32, PartitionIndex, 0),
        F(I16, ErrorCode, 0))))))),
  END
};

static const tsh_field describe_producers_request[] = {
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(I32, PartitionIndexes, 0))),
  END
};

static const tsh_field describe_producers_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I16, ErrorCode, 0),
      F(TEXT, ErrorMessage, 0, NULL_FROM(0)),
      LIST(STRUCT, ActiveProducers, 0, FIELDS(
        F(I64, ProducerId, 0),
        F(I32, ProducerEpoch, 0),
        F(I32, LastSequence, 0, .preset = -1),
        F(I64, LastTimestamp, 0, .preset = -1),
        F(I32, CoordinatorEpoch, 0),
        F(I64, CurrentTxnStartOffset, 0, .preset = -1))))))),
  END
};

static const tsh_field describe_transactions_request[] = {
  LIST(TEXT, TransactionalIds, 0),
  END
};

static const tsh_field describe_transactions_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, TransactionStates, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, TransactionalId, 0),
    F(TEXT, TransactionState, 0),
    F(I32, TransactionTimeoutMs, 0),
    F(I64, TransactionStartTimeMs, 0),
    F(I64, ProducerId, 0),
    F(I16, ProducerEpoch, 0),
    LIST(STRUCT, Topics, 0, FIELDS(
      F(TEXT, Topic, 0),
      LIST(I32, Partitions, 0))))),
  END
};

static const tsh_field list_transactions_request[] = {
  LIST(TEXT, StateFilters, 0),
  LIST(I64, ProducerIdFilters, 0),
  F(I64, DurationFilter, 1, .preset = -1),
  F(TEXT, TransactionalIdPattern, 2, NULL_FROM(2)),
  END
};

static const tsh_field list_transactions_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 0),
  LIST(TEXT, UnknownStateFilters, 0),
  LIST(STRUCT, TransactionStates, 0, FIELDS(
    F(TEXT, TransactionalId, 0),
    F(I64, ProducerId, 0),
    F(TEXT, TransactionState, 0))),
  END
};

const tsh_message tsh_wire__txn[] = {
  MESSAGE(InitProducerId, 22, 0, 5, 2, 4, WRITE, init_producer_id),
  MESSAGE(AddPartitionsToTxn, 24, 0, 5, 3, 3, WRITE, add_partitions_to_txn),
  MESSAGE(EndTxn, 26, 0, 5, 3, 3, WRITE, end_txn),
  MESSAGE(WriteTxnMarkers, 27, 1, 2, 1, 1, WRITE, write_txn_markers),
  MESSAGE(DescribeProducers, 61, 0, 0, 0, 0, READ, describe_producers),
  MESSAGE(DescribeTransactions, 65, 0, 0, 0, 0, READ, describe_transactions),
  MESSAGE(ListTransactions, 66, 0, 2, 0, 0, READ, list_transactions),
  END
};
