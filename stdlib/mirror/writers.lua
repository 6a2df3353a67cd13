--- Whether the writers of a topic have stopped: log ends that stand still.

local task = require "vm.task"
local err = require "base.err"
local proof = require "mirror.proof"

local M = {}

local STILL_MS = 1000         -- log ends must stand still for so long

--- Log ends of whole topics, { topic, partition, end, stable } each.
---@async
function M.ends(client, topics)
  local shapes, why = client:describe_topics(topics)
  if not shapes then return nil, why end
  local wants = {}
  for _, name in ipairs(topics) do
    for _, part in ipairs(shapes[name] and shapes[name].partitions or {}) do
      wants[#wants + 1] = { topic = name, partition = part.partition }
    end
  end
  if #wants == 0 then return wants end
  local ok
  ok, why = proof.bounds(client, wants, "end")
  if not ok then return nil, why end
  ok, why = proof.bounds(client, wants, "stable")
  if not ok then return nil, why end
  return wants
end

--- Writers have stopped when, over a while, no log end moved, and no
-- transaction is open (the last stable offset is the end). Gives the ends.
---@async
---@return table[]|nil ends { topic, partition, end, stable }, tranship.Err?
function M.stopped(client, topics, still_ms)
  local before, why = M.ends(client, topics)
  if not before then return nil, why end
  task.sleep(still_ms or STILL_MS)
  local after
  after, why = M.ends(client, topics)
  if not after then return nil, why end
  local known, problems = {}, {}
  for _, one in ipairs(before) do
    known[one.topic .. "/" .. one.partition] = one["end"]
  end
  for _, one in ipairs(after) do
    local id = one.topic .. "/" .. one.partition
    if known[id] ~= one["end"] then
      problems[#problems + 1] = ("%s grew from %s to %d"):format(id,
        tostring(known[id]), one["end"])
    elseif one.stable ~= one["end"] then
      problems[#problems + 1] = ("%s has an open transaction at offset %d")
        :format(id, one.stable)
    end
  end
  if #problems == 0 then return after end
  return nil, err.new {
    kind = "conflict", origin = "bridge",
    message = "somebody still writes: " .. table.concat(problems, "; "),
  }
end

return M
