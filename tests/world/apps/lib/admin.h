/* The few administrative requests the world needs; each exits on failure. */
#ifndef WORLD_ADMIN_H
#define WORLD_ADMIN_H

#include "app.h"

/* `configs`: name, value, ..., NULL */
void admin_create(rd_kafka_t *rk, const char *topic, int partitions,
                  const char *const *configs);

/* Removes what lies below `before`. */
void admin_delete_records(rd_kafka_t *rk, const char *topic, int partition,
                          int64_t before);

/* Commits positions for a group without members. */
void admin_commit(const struct options *options, const char *group,
                  const rd_kafka_topic_partition_list_t *positions);

/* A group's committed position; below 0 when there is none. */
int64_t admin_committed(rd_kafka_t *rk, const char *group, const char *topic,
                        int partition);

#endif
