/* The table of messages, part 1: logs and their records.
 *
 * Field names, types and versions are those of Kafka 4.3 (its message
 * definitions); how a line is read is told in proto_fields.h. Produce and
 * Fetch are here for tools and tests, hot paths use proto_produce.c and
 * proto_fetch.c. */
#include "proto_fields.h"

/* clang-format off */

static const tsh_field produce_request[] = {
  F(TEXT, TransactionalId, 3, NULL_FROM(3)),
  F(I16, Acks, 0),
  F(I32, TimeoutMs, 0),
  LIST(STRUCT, TopicData, 0, FIELDS(
    F(TEXT, Name, 0, .gone = 13),
    F(UUID, TopicId, 13),
    LIST(STRUCT, PartitionData, 0, FIELDS(
      F(I32, Index, 0),
      F(BYTES, Records, 0, NULL_FROM(0)))))),
  END
};

static const tsh_field produce_response[] = {
  LIST(STRUCT, Responses, 0, FIELDS(
    F(TEXT, Name, 0, .gone = 13),
    F(UUID, TopicId, 13),
    LIST(STRUCT, PartitionResponses, 0, FIELDS(
      F(I32, Index, 0),
      F(I16, ErrorCode, 0),
      F(I64, BaseOffset, 0),
      F(I64, LogAppendTimeMs, 2, .preset = -1),
      F(I64, LogStartOffset, 5, .preset = -1),
      LIST(STRUCT, RecordErrors, 8, FIELDS(
        F(I32, BatchIndex, 8),
        F(TEXT, BatchIndexErrorMessage, 8, NULL_FROM(8)))),
      F(TEXT, ErrorMessage, 8, NULL_FROM(8)),
      F(STRUCT, CurrentLeader, 10, TAG(0, 10), FIELDS(
        F(I32, LeaderId, 10, .preset = -1),
        F(I32, LeaderEpoch, 10, .preset = -1))))))),
  F(I32, ThrottleTimeMs, 1),
  LIST(STRUCT, NodeEndpoints, 10, TAG(0, 10), FIELDS(
    F(I32, NodeId, 10),
    F(TEXT, Host, 10),
    F(I32, Port, 10),
    F(TEXT, Rack, 10, NULL_FROM(10)))),
  END
};

static const tsh_field fetch_request[] = {
  F(TEXT, ClusterId, 12, NULL_FROM(12), TAG(0, 12)),
  F(I32, ReplicaId, 0, .gone = 15, .preset = -1),
  F(STRUCT, ReplicaState, 15, TAG(1, 15), FIELDS(
    F(I32, ReplicaId, 15, .preset = -1),
    F(I64, ReplicaEpoch, 15, .preset = -1))),
  F(I32, MaxWaitMs, 0),
  F(I32, MinBytes, 0),
  F(I32, MaxBytes, 3, .preset = INT32_MAX),
  F(I8, IsolationLevel, 4),
  F(I32, SessionId, 7),
  F(I32, SessionEpoch, 7, .preset = -1),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Topic, 0, .gone = 13),
    F(UUID, TopicId, 13),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, Partition, 0),
      F(I32, CurrentLeaderEpoch, 9, .preset = -1),
      F(I64, FetchOffset, 0),
      F(I32, LastFetchedEpoch, 12, .preset = -1),
      F(I64, LogStartOffset, 5, .preset = -1),
      F(I32, PartitionMaxBytes, 0),
      F(UUID, ReplicaDirectoryId, 17, TAG(0, 17)),
      F(I64, HighWatermark, 18, TAG(1, 18), .preset = INT64_MAX))))),
  LIST(STRUCT, ForgottenTopicsData, 7, FIELDS(
    F(TEXT, Topic, 7, .gone = 13),
    F(UUID, TopicId, 13),
    LIST(I32, Partitions, 7))),
  F(TEXT, RackId, 11),
  END
};

static const tsh_field fetch_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 7),
  F(I32, SessionId, 7),
  LIST(STRUCT, Responses, 0, FIELDS(
    F(TEXT, Topic, 0, .gone = 13),
    F(UUID, TopicId, 13),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I16, ErrorCode, 0),
      F(I64, HighWatermark, 0),
      F(I64, LastStableOffset, 4, .preset = -1),
      F(I64, LogStartOffset, 5, .preset = -1),
      F(STRUCT, DivergingEpoch, 12, TAG(0, 12), FIELDS(
        F(I32, Epoch, 12, .preset = -1),
        F(I64, EndOffset, 12, .preset = -1))),
      F(STRUCT, CurrentLeader, 12, TAG(1, 12), FIELDS(
        F(I32, LeaderId, 12, .preset = -1),
        F(I32, LeaderEpoch, 12, .preset = -1))),
      F(STRUCT, SnapshotId, 12, TAG(2, 12), FIELDS(
        F(I64, EndOffset, 0, .preset = -1),
        F(I32, Epoch, 0, .preset = -1))),
      LIST(STRUCT, AbortedTransactions, 4, NULL_FROM(4), FIELDS(
        F(I64, ProducerId, 4),
        F(I64, FirstOffset, 4))),
      F(I32, PreferredReadReplica, 11, .preset = -1),
      F(BYTES, Records, 0, NULL_FROM(0)))))),
  LIST(STRUCT, NodeEndpoints, 16, TAG(0, 16), FIELDS(
    F(I32, NodeId, 16),
    F(TEXT, Host, 16),
    F(I32, Port, 16),
    F(TEXT, Rack, 16, NULL_FROM(16)))),
  END
};

static const tsh_field list_offsets_request[] = {
  F(I32, ReplicaId, 0),
  F(I8, IsolationLevel, 2),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I32, CurrentLeaderEpoch, 4, .preset = -1),
      F(I64, Timestamp, 0))))),
  F(I32, TimeoutMs, 10),
  END
};

static const tsh_field list_offsets_response[] = {
  F(I32, ThrottleTimeMs, 2),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I16, ErrorCode, 0),
      F(I64, Timestamp, 1, .preset = -1),
      F(I64, Offset, 1, .preset = -1),
      F(I32, LeaderEpoch, 4, .preset = -1))))),
  END
};

static const tsh_field offset_for_leader_epoch_request[] = {
  F(I32, ReplicaId, 3, .preset = -2),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Topic, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, Partition, 0),
      F(I32, CurrentLeaderEpoch, 2, .preset = -1),
      F(I32, LeaderEpoch, 0))))),
  END
};

static const tsh_field offset_for_leader_epoch_response[] = {
  F(I32, ThrottleTimeMs, 2),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Topic, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I16, ErrorCode, 0),
      F(I32, Partition, 0),
      F(I32, LeaderEpoch, 1, .preset = -1),
      F(I64, EndOffset, 0, .preset = -1))))),
  END
};

static const tsh_field delete_records_request[] = {
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I64, Offset, 0))))),
  F(I32, TimeoutMs, 0),
  END
};

static const tsh_field delete_records_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I32, PartitionIndex, 0),
      F(I64, LowWatermark, 0),
      F(I16, ErrorCode, 0))))),
  END
};

const tsh_message tsh_wire__log[] = {
  MESSAGE(Produce, 0, 3, 13, 9, 9, WRITE, produce),
  MESSAGE(Fetch, 1, 4, 18, 12, 12, READ, fetch),
  MESSAGE(ListOffsets, 2, 1, 11, 6, 7, READ, list_offsets),
  MESSAGE(OffsetForLeaderEpoch, 23, 2, 4, 4, 4, READ, offset_for_leader_epoch),
  MESSAGE(DeleteRecords, 21, 0, 2, 2, 2, WRITE, delete_records),
  END
};
