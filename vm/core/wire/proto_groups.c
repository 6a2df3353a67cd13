/* The table of messages, part 3: coordinators, groups, their offsets.
 *
 * Field names, types and versions are those of Kafka 4.3; see proto_fields.h.
 */
#include "proto_fields.h"

/* clang-format off */

static const tsh_field find_coordinator_request[] = {
  F(TEXT, Key, 0, .gone = 4),
  F(I8, KeyType, 1),
  LIST(TEXT, CoordinatorKeys, 4),
  END
};

static const tsh_field find_coordinator_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 0, .gone = 4),
  F(TEXT, ErrorMessage, 1, .gone = 4, NULL_FROM(1)),
  F(I32, NodeId, 0, .gone = 4),
  F(TEXT, Host, 0, .gone = 4),
  F(I32, Port, 0, .gone = 4),
  LIST(STRUCT, Coordinators, 4, FIELDS(
    F(TEXT, Key, 4),
    F(I32, NodeId, 4),
    F(TEXT, Host, 4),
    F(I32, Port, 4),
    F(I16, ErrorCode, 4),
    F(TEXT, ErrorMessage, 4, NULL_FROM(4)))),
  END
};

static const tsh_field list_groups_request[] = {
  LIST(TEXT, StatesFilter, 4),
  LIST(TEXT, TypesFilter, 5),
  END
};

static const tsh_field list_groups_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 0),
  LIST(STRUCT, Groups, 0, FIELDS(
    F(TEXT, GroupId, 0),
    F(TEXT, ProtocolType, 0),
    F(TEXT, GroupState, 4),
    F(TEXT, GroupType, 5))),
  END
};

static const tsh_field describe_groups_request[] = {
  LIST(TEXT, Groups, 0),
  F(BOOL, IncludeAuthorizedOperations, 3),
  END
};

static const tsh_field describe_groups_response[] = {
  F(I32, ThrottleTimeMs, 1),
  LIST(STRUCT, Groups, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, ErrorMessage, 6, NULL_FROM(6)),
    F(TEXT, GroupId, 0),
    F(TEXT, GroupState, 0),
    F(TEXT, ProtocolType, 0),
    F(TEXT, ProtocolData, 0),
    LIST(STRUCT, Members, 0, FIELDS(
      F(TEXT, MemberId, 0),
      F(TEXT, GroupInstanceId, 4, NULL_FROM(4)),
      F(TEXT, ClientId, 0),
      F(TEXT, ClientHost, 0),
      F(BYTES, MemberMetadata, 0),
      F(BYTES, MemberAssignment, 0))),
    F(I32, AuthorizedOperations, 3, .preset = INT32_MIN))),
  END
};

static const tsh_field consumer_group_describe_request[] = {
  LIST(TEXT, GroupIds, 0),
  F(BOOL, IncludeAuthorizedOperations, 0),
  END
};

static const tsh_field consumer_group_describe_topic_partitions[] = {
  F(UUID, TopicId, 0),
  F(TEXT, TopicName, 0),
  LIST(I32, Partitions, 0),
  END
};

static const tsh_field consumer_group_describe_assignment[] = {
  LIST(STRUCT, TopicPartitions, 0,
       .fields = consumer_group_describe_topic_partitions),
  END
};

static const tsh_field consumer_group_describe_response[] = {
  F(I32, ThrottleTimeMs, 0),
  LIST(STRUCT, Groups, 0, FIELDS(
    F(I16, ErrorCode, 0),
    F(TEXT, ErrorMessage, 0, NULL_FROM(0)),
    F(TEXT, GroupId, 0),
    F(TEXT, GroupState, 0),
    F(I32, GroupEpoch, 0),
    F(I32, AssignmentEpoch, 0),
    F(TEXT, AssignorName, 0),
    LIST(STRUCT, Members, 0, FIELDS(
      F(TEXT, MemberId, 0),
      F(TEXT, InstanceId, 0, NULL_FROM(0)),
      F(TEXT, RackId, 0, NULL_FROM(0)),
      F(I32, MemberEpoch, 0),
      F(TEXT, ClientId, 0),
      F(TEXT, ClientHost, 0),
      LIST(TEXT, SubscribedTopicNames, 0),
      F(TEXT, SubscribedTopicRegex, 0, NULL_FROM(0)),
      F(STRUCT, Assignment, 0, .fields = consumer_group_describe_assignment),
      F(STRUCT, TargetAssignment, 0,
           .fields = consumer_group_describe_assignment),
      F(I8, MemberType, 1, .preset = -1))),
    F(I32, AuthorizedOperations, 0, .preset = INT32_MIN))),
  END
};

static const tsh_field offset_fetch_request[] = {
  F(TEXT, GroupId, 0, .gone = 8),
  LIST(STRUCT, Topics, 0, .gone = 8, NULL_FROM(2), FIELDS(
    F(TEXT, Name, 0, .gone = 8),
    LIST(I32, PartitionIndexes, 0, .gone = 8))),
  LIST(STRUCT, Groups, 8, FIELDS(
    F(TEXT, GroupId, 8),
    F(TEXT, MemberId, 9, NULL_FROM(9)),
    F(I32, MemberEpoch, 9, .preset = -1),
    LIST(STRUCT, Topics, 8, NULL_FROM(8), FIELDS(
      F(TEXT, Name, 8, .gone = 10),
      F(UUID, TopicId, 10),
      LIST(I32, PartitionIndexes, 8))))),
  F(BOOL, RequireStable, 7),
  END
};

static const tsh_field offset_fetch_response[] = {
  F(I32, ThrottleTimeMs, 3),
  LIST(STRUCT, Topics, 0, .gone = 8, FIELDS(
    F(TEXT, Name, 0, .gone = 8),
    LIST(STRUCT, Partitions, 0, .gone = 8, FIELDS(
      F(I32, PartitionIndex, 0, .gone = 8),
      F(I64, CommittedOffset, 0, .gone = 8),
      F(I32, CommittedLeaderEpoch, 5, .gone = 8, .preset = -1),
      F(TEXT, Metadata, 0, .gone = 8, NULL_FROM(0)),
      F(I16, ErrorCode, 0, .gone = 8))))),
  F(I16, ErrorCode, 2, .gone = 8),
  LIST(STRUCT, Groups, 8, FIELDS(
    F(TEXT, GroupId, 8),
    LIST(STRUCT, Topics, 8, FIELDS(
      F(TEXT, Name, 8, .gone = 10),
      F(UUID, TopicId, 10),
      LIST(STRUCT, Partitions, 8, FIELDS(
        F(I32, PartitionIndex, 8),
        F(I64, CommittedOffset, 8),
        F(I32, CommittedLeaderEpoch, 8, .preset = -1),
        F(TEXT, Metadata, 8, NULL_FROM(8)),
        F(I16, ErrorCode, 8))))),
    F(I16, ErrorCode, 8))),
  END
};

static const tsh_field join_group_request[] = {
  F(TEXT, GroupId, 0),
  F(I32, SessionTimeoutMs, 0),
  F(I32, RebalanceTimeoutMs, 1, .preset = -1),
  F(TEXT, MemberId, 0),
  F(TEXT, GroupInstanceId, 5, NULL_FROM(5)),
  F(TEXT, ProtocolType, 0),
  LIST(STRUCT, Protocols, 0, FIELDS(
    F(TEXT, Name, 0),
    F(BYTES, Metadata, 0))),
  F(TEXT, Reason, 8, NULL_FROM(8)),
  END
};

static const tsh_field join_group_response[] = {
  F(I32, ThrottleTimeMs, 2),
  F(I16, ErrorCode, 0),
  F(I32, GenerationId, 0, .preset = -1),
  F(TEXT, ProtocolType, 7, NULL_FROM(7)),
  F(TEXT, ProtocolName, 0, NULL_FROM(7)),
  F(TEXT, Leader, 0),
  F(BOOL, SkipAssignment, 9),
  F(TEXT, MemberId, 0),
  LIST(STRUCT, Members, 0, FIELDS(
    F(TEXT, MemberId, 0),
    F(TEXT, GroupInstanceId, 5, NULL_FROM(5)),
    F(BYTES, Metadata, 0))),
  END
};

static const tsh_field sync_group_request[] = {
  F(TEXT, GroupId, 0),
  F(I32, GenerationId, 0),
  F(TEXT, MemberId, 0),
  F(TEXT, GroupInstanceId, 3, NULL_FROM(3)),
  F(TEXT, ProtocolType, 5, NULL_FROM(5)),
  F(TEXT, ProtocolName, 5, NULL_FROM(5)),
  LIST(STRUCT, Assignments, 0, FIELDS(
    F(TEXT, MemberId, 0),
    F(BYTES, Assignment, 0))),
  END
};

static const tsh_field sync_group_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 0),
  F(TEXT, ProtocolType, 5, NULL_FROM(5)),
  F(TEXT, ProtocolName, 5, NULL_FROM(5)),
  F(BYTES, Assignment, 0),
  END
};

static const tsh_field heartbeat_request[] = {
  F(TEXT, GroupId, 0),
  F(I32, GenerationId, 0),
  F(TEXT, MemberId, 0),
  F(TEXT, GroupInstanceId, 3, NULL_FROM(3)),
  END
};

static const tsh_field heartbeat_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 0),
  END
};

static const tsh_field leave_group_request[] = {
  F(TEXT, GroupId, 0),
  F(TEXT, MemberId, 0, .gone = 3),
  LIST(STRUCT, Members, 3, FIELDS(
    F(TEXT, MemberId, 3),
    F(TEXT, GroupInstanceId, 3, NULL_FROM(3)),
    F(TEXT, Reason, 5, NULL_FROM(5)))),
  END
};

static const tsh_field leave_group_response[] = {
  F(I32, ThrottleTimeMs, 1),
  F(I16, ErrorCode, 0),
  LIST(STRUCT, Members, 3, FIELDS(
    F(TEXT, MemberId, 3),
    F(TEXT, GroupInstanceId, 3, NULL_FROM(3)),
    F(I16, ErrorCode, 3))),
  END
};

const tsh_message tsh_wire__groups[] = {
  MESSAGE(FindCoordinator, 10, 0, 6, 3, 4, READ, find_coordinator),
  MESSAGE(ListGroups, 16, 0, 5, 3, 4, READ, list_groups),
  MESSAGE(DescribeGroups, 15, 0, 6, 5, 6, READ, describe_groups),
  MESSAGE(ConsumerGroupDescribe, 69, 0, 1, 0, 0, READ, consumer_group_describe),
  MESSAGE(OffsetFetch, 9, 1, 10, 6, 8, READ, offset_fetch),
  MESSAGE(JoinGroup, 11, 2, 9, 6, 7, WRITE, join_group),
  MESSAGE(SyncGroup, 14, 1, 5, 4, 5, WRITE, sync_group),
  MESSAGE(Heartbeat, 12, 1, 4, 4, 4, WRITE, heartbeat),
  MESSAGE(LeaveGroup, 13, 3, 5, 4, 4, WRITE, leave_group),
  END
};
