--- A model of how MirrorMaker 2 (4.3) translates positions: its memory of 64
-- syncs per partition, and its answer. It is here to say what MirrorMaker
-- would answer, never to be believed.
--
-- Slot 0 holds the newest sync; the further up, the older and the wider apart.
-- For slots i < j that hold different syncs, u being their upstream offsets:
--   near    u(i) <= u(j) + 2^j - 2^i       (its "invariant B")
--   apart   u(i) >= u(j) + 2^max(i-2, 0)   (its "invariant C")
-- A new sync goes into slot 0 and pushes the older ones up as far as needed.

local M = {}
M.__index = M

local SLOTS = 64

--- An empty memory. With `last_only` (MirrorMaker could not read its own
-- checkpoints) it keeps only the newest sync until `start` is called.
function M.new(last_only)
  return setmetatable({ last_only = last_only, started = false, slots = {} }, M)
end

--- The topic has been read to its end once: translating begins.
function M:start() self.started = true end

-- Sums wrap round as Java's do; what is then negative is out of reach.
local function is_near(newer, older, i, j)
  local bound = older.upstream + (1 << j) - (1 << i)
  return newer == older or bound < 0 or newer.upstream <= bound
end

local function is_apart(newer, older, i)
  local bound = older.upstream + (1 << math.max(i - 2, 0))
  return newer == older or bound >= 0 and newer.upstream >= bound
end

--- Which sync may stand in slot `at`: the newest of the old ones, from the
-- `rest` on, that keeps its distances; else what stands in the slot before.
local function candidate(slots, before, at, rest, standing)
  local one, skip
  repeat
    one = before[rest]
    local apart = is_apart(slots[at - 1], one, at - 1)
    local fits = apart and is_near(slots[at - 1], one, at - 1, at)
      and (at + 1 >= SLOTS or is_apart(one, slots[at + 1], at))
    skip = before[rest + 1] == one or not apart
    if fits then standing = one end
    if fits or skip then rest = rest + 1 end
  until rest >= at or not skip
  return standing, rest
end

local function push(slots, sync)
  local before = {}
  table.move(slots, 0, SLOTS - 1, 0, before)
  slots[0] = sync
  local standing, rest = sync, 0
  for at = 1, SLOTS - 1 do
    standing, rest = candidate(slots, before, at, rest, standing)
    if is_near(slots[at - 1], slots[at], at - 1, at) then return end
    slots[at] = standing
  end
end

--- Takes a sync of the topic in.
---@param sync { topic: string, partition: integer, upstream: integer, downstream: integer }
function M:take(sync)
  local id = sync.topic .. "/" .. sync.partition
  local slots = self.slots[id]
  if not slots or self.last_only and not self.started
    or sync.upstream < slots[0].upstream then
    slots = {}
    for at = 0, SLOTS - 1 do slots[at] = sync end
    self.slots[id] = slots
  else
    push(slots, sync)
  end
end

--- What stands in a slot, for tests of the model.
function M:slot(topic, partition, at)
  return self.slots[topic .. "/" .. partition][at]
end

--- MirrorMaker's answer for a committed position: an offset of the target, -1
-- for one before its oldest sync, nil when it gives none; and the sync used.
---@return integer? offset, table? sync
function M:translate(topic, partition, offset)
  local slots = self.slots[topic .. "/" .. partition]
  if not self.started or not slots then return nil end
  for at = 0, SLOTS - 1 do
    local sync = slots[at]
    if sync.upstream == offset then return sync.downstream, sync end
    if sync.upstream < offset then return sync.downstream + 1, sync end
  end
  return -1, slots[SLOTS - 1]
end

return M
