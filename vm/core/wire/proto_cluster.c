/* The table of messages, part 4: brokers, topics, disks, quotas.
 *
 * Field names, types and versions are those of Kafka 4.3; see proto_fields.h.
 */
#include "proto_fields.h"

/* clang-format off */

static const tsh_field api_versions_request[] = {
  F(TEXT, ClientSoftwareName, 3),
  F(TEXT, ClientSoftwareVersion, 3),
  END
};

static const tsh_field api_versions_response[] = {
  F(I16, ErrorCode, 0),
  LIST(STRUCT, ApiKeys, 0, FIELDS(
    F(I16, ApiKey, 0),
    F(I16, MinVersion, 0),
    F(I16, MaxVersion, 0))),
  F(I32, ThrottleTimeMs, 1),
  LIST(STRUCT, SupportedFeatures, 3, TAG(0, 3), FIELDS(
    F(TEXT, Name, 3),
    F(I16, MinVersion, 3),
    F(I16, MaxVersion, 3))),
  F(I64, FinalizedFeaturesEpoch, 3, TAG(1, 3), .preset = -1),
  LIST(STRUCT, FinalizedFeatures, 3, TAG(2, 3), FIELDS(
    F(TEXT, Name, 3),
    F(I16, MaxVersionLevel, 3),
    F(I16, MinVersionLevel, 3))),
  F(BOOL, ZkMigrationReady, 3, TAG(3, 3)),
  END
};

static const tsh_field metadata_request[] = {
  LIST(STRUCT, Topics, 0, NULL_FROM(1), FIELDS(
    F(UUID, TopicId, 10),
    F(TEXT, Name, 0, NULL_FROM(10)))),
  F(BOOL, AllowAutoTopicCreation, 4, .never = true),
  F(BOOL, IncludeClusterAuthorizedOperations, 8, .gone = 11),
  F(BOOL, IncludeTopicAuthorizedOperations, 8),
  END
};

static const tsh_field metadata_response[] = {
  F(I32, ThrottleTimeMs, 3),
  LIST(STRUCT, Brokers, 0, FIELDS(
    F(I32, NodeId, 0),
    F(TEXT, Host, 0),
    F(I32, Port, 0),
    F(TEXT, Rack, 1, NULL_FROM(1)))),
  F(TEXT, ClusterId, 2, NULL_FROM(2)),
  F(I32, ControllerId, 1, .preset = -1),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, Name, 0, NULL_FROM(12)),
    F(UUID, TopicId, 10),
    F(BOOL, IsInternal, 1),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I16, ErrorCode, 0),
      F(I32, PartitionIndex, 0),
      F(I32, LeaderId, 0),
      F(I32, LeaderEpoch, 7, .preset = -1),
      LIST(I32, ReplicaNodes, 0),
      LIST(I32, IsrNodes, 0),
      LIST(I32, OfflineReplicas, 5))),
    F(I32, TopicAuthorizedOperations, 8, .preset = INT32_MIN))),
  F(I32, ClusterAuthorizedOperations, 8, .gone = 11, .preset = INT32_MIN),
  F(I16, ErrorCode, 13),
  END
};

static const tsh_field describe_cluster_request[] = {
  F(BOOL, IncludeClusterAuthorizedOperations, 0),
  F(I8, EndpointType, 1, .preset = 1),
  F(BOOL, IncludeFencedBrokers, 2),
  END
};

static const tsh_field describe_cluster_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 0),
  F(TEXT, ErrorMessage, 0, NULL_FROM(0)),
  F(I8, EndpointType, 1, .preset = 1),
  F(TEXT, ClusterId, 0),
  F(I32, ControllerId, 0, .preset = -1),
  LIST(STRUCT, Brokers, 0, FIELDS(
    F(I32, BrokerId, 0),
    F(TEXT, Host, 0),
    F(I32, Port, 0),
    F(TEXT, Rack, 0, NULL_FROM(0)),
    F(BOOL, IsFenced, 2))),
  F(I32, ClusterAuthorizedOperations, 0, .preset = INT32_MIN),
  END
};

static const tsh_field describe_topic_partitions_request[] = {
  LIST(STRUCT, Topics, 0, FIELDS(
    F(TEXT, Name, 0))),
  F(I32, ResponsePartitionLimit, 0, .preset = 2000),
  F(STRUCT, Cursor, 0, NULL_FROM(0), FIELDS(
    F(TEXT, TopicName, 0),
    F(I32, PartitionIndex, 0))),
  END
};

static const tsh_field describe_topic_partitions_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, Topics, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, Name, 0, NULL_FROM(0)),
    F(UUID, TopicId, 0),
    F(BOOL, IsInternal, 0),
    LIST(STRUCT, Partitions, 0, FIELDS(
      F(I16, ErrorCode, 0),
      F(I32, PartitionIndex, 0),
      F(I32, LeaderId, 0),
      F(I32, LeaderEpoch, 0, .preset = -1),
      LIST(I32, ReplicaNodes, 0),
      LIST(I32, IsrNodes, 0),
      LIST(I32, EligibleLeaderReplicas, 0, NULL_FROM(0)),
      LIST(I32, LastKnownElr, 0, NULL_FROM(0)),
      LIST(I32, OfflineReplicas, 0))),
    F(I32, TopicAuthorizedOperations, 0, .preset = INT32_MIN))),
  F(STRUCT, NextCursor, 0, NULL_FROM(0), FIELDS(
    F(TEXT, TopicName, 0),
    F(I32, PartitionIndex, 0))),
  END
};

static const tsh_field describe_log_dirs_request[] = {
  LIST(STRUCT, Topics, 0, NULL_FROM(0), FIELDS(
    F(TEXT, Topic, 0),
    LIST(I32, Partitions, 0))),
  END
};

static const tsh_field describe_log_dirs_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 3),
  LIST(STRUCT, Results, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, LogDir, 0),
    LIST(STRUCT, Topics, 0, FIELDS(
      F(TEXT, Name, 0),
      LIST(STRUCT, Partitions, 0, FIELDS(
        F(I32, PartitionIndex, 0),
        F(I64, PartitionSize, 0),
        F(I64, OffsetLag, 0),
        F(BOOL, IsFutureKey, 0))))),
    F(I64, TotalBytes, 4, .preset = -1),
    F(I64, UsableBytes, 4, .preset = -1),
    F(BOOL, IsCordoned, 5))),
  END
};

static const tsh_field describe_client_quotas_request[] = {
  LIST(STRUCT, Components, 0, FIELDS(
    F(TEXT, EntityType, 0),
    F(I8, MatchType, 0),
    F(TEXT, Match, 0, NULL_FROM(0)))),
  F(BOOL, Strict, 0),
  END
};

static const tsh_field describe_client_quotas_response[] = {
  F(I32, ThrottleTimeMs, 0),
  F(I16, ErrorCode, 0),
  F(TEXT, ErrorMessage, 0, NULL_FROM(0)),
  LIST(STRUCT, Entries, 0, NULL_FROM(0), FIELDS(
    LIST(STRUCT, Entity, 0, FIELDS(
      F(TEXT, EntityType, 0),
      F(TEXT, EntityName, 0, NULL_FROM(0)))),
    LIST(STRUCT, Values, 0, FIELDS(
      F(TEXT, Key, 0),
      F(F64, Value, 0))))),
  END
};

static const tsh_field alter_client_quotas_request[] = {
  LIST(STRUCT, Entries, 0, FIELDS(
    LIST(STRUCT, Entity, 0, FIELDS(
      F(TEXT, EntityType, 0),
      F(TEXT, EntityName, 0, NULL_FROM(0)))),
    LIST(STRUCT, Ops, 0, FIELDS(
      F(TEXT, Key, 0),
      F(F64, Value, 0),
      F(BOOL, Remove, 0))))),
  F(BOOL, ValidateOnly, 0),
  END
};

static const tsh_field alter_client_quotas_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, Entries, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, ErrorMessage, 0, NULL_FROM(0)),
    LIST(STRUCT, Entity, 0, FIELDS(
      F(TEXT, EntityType, 0),
      F(TEXT, EntityName, 0, NULL_FROM(0)))))),
  END
};

const tsh_message tsh_wire__cluster[] = {
  MESSAGE(ApiVersions, 18, 0, 4, 3, 3, READ, api_versions),
  MESSAGE(Metadata, 3, 0, 13, 9, 12, READ, metadata),
  MESSAGE(DescribeCluster, 60, 0, 2, 0, 0, READ, describe_cluster),
  MESSAGE(DescribeTopicPartitions, 75, 0, 0, 0, 0, READ,
          describe_topic_partitions),
  MESSAGE(DescribeLogDirs, 35, 1, 5, 2, 4, READ, describe_log_dirs),
  MESSAGE(DescribeClientQuotas, 48, 0, 1, 1, 1, READ, describe_client_quotas),
  MESSAGE(AlterClientQuotas, 49, 0, 1, 1, 1, WRITE, alter_client_quotas),
  END
};
