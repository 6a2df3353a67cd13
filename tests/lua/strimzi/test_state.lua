-- What resources of Strimzi's say about themselves.
local test = ...
local context = require "base.context"
local state = require "strimzi.state"

local function resource(generation, observed, ...)
  return { kind = "KafkaUser", metadata = { generation = generation, namespace = "kafka",
    labels = { ["strimzi.io/cluster"] = "bus" } },
    status = { observedGeneration = observed, conditions = { ... } } }
end

local READY = { type = "Ready", status = "True" }

test("ready counts for the generation that is asked for", function(t)
  t.equal(state.is_ready(resource(2, 2, READY)), true)
  t.equal(state.is_ready(resource(3, 2, READY)), false)
  t.match(state.text(resource(3, 2, READY)), "not come to the last change %(generation 2 of 3%)")
  t.equal(state.is_ready(resource(1, 1)), false)
end)

test("failures in both shapes, at this generation only", function(t)
  local one = { type = "NotReady", status = "True", reason = "InvalidResourceException",
    message = "no pool" }
  t.equal({ state.failure(resource(1, 1, one)) },
    { "InvalidResourceException: no pool", "InvalidResourceException" })
  t.equal(state.failure(resource(2, 1, one)), nil)
  local other = { type = "Ready", status = "False", reason = "KafkaError" }
  t.equal(state.failure(resource(1, 1, other)), "KafkaError")
  t.equal(state.failure(resource(1, 1, { type = "NotReady", status = "True", reason = "Creating",
    message = "Kafka cluster is being deployed" })), nil)
  t.equal(state.failure(resource(1, 1, READY)), nil)
end)

test("nobody has answered: who might be to blame", function(t)
  local there = resource(1, nil)
  there.status = nil
  t.match(state.text(there), "its label says strimzi.io/cluster=bus; .* namespace kafka watched")
  there.metadata.labels = nil
  t.match(state.text(there), "no label strimzi.io/cluster, so it belongs to no Kafka")
  there.kind = "Kafka"
  t.match(state.text(there), "is Strimzi's Cluster Operator running")
  there.metadata.annotations = { ["strimzi.io/pause-reconciliation"] = "true" }
  t.match(state.text(there), "paused")
  t.equal(state.text(false), "it is not there")
end)

test("what a plan makes has no status, and nobody is to blame", function(t)
  local there = { kind = "Kafka", metadata = { name = "bus" } }
  context.with({ phase = "plan", overlay = { ["kubernetes/x"] = there } }, function()
    t.equal(state.text(there), "a step above is to make or change it")
    t.match(state.text { kind = "Kafka", metadata = {} }, "no operator has answered")
  end)
end)
