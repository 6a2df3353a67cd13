--- "Nobody uses this cluster any more": no members in groups, no commits, no
-- appends, watched over a stated time. It only looks: nothing is deleted, and
-- where somebody is found, they are named.

local context = require "base.context"
local err = require "base.err"
local task = require "vm.task"
local units = require "base.units"

--- Where all logs end and what all groups have committed.
local function snapshot(cluster)
  local topics, why = cluster:topics()
  if not topics then return nil, why end
  local list, seen = {}, { ends = {}, commits = {}, live = {} }
  for _, topic in ipairs(topics) do
    for partition = 0, topic.partitions - 1 do
      list[#list + 1] = { topic = topic.name, partition = partition, at = "end" }
    end
  end
  local ends
  ends, why = cluster:offsets(list)
  if not ends then return nil, why end
  for _, item in ipairs(ends) do
    if item.err then return nil, item.err end
    seen.ends[item.topic .. "/" .. item.partition] = item.offset
  end
  local groups
  groups, why = cluster:groups()
  if not groups then return nil, why end
  for _, group in ipairs(groups) do
    if group.state ~= "Empty" and group.state ~= "Dead" then
      seen.live[#seen.live + 1] = group.group
    end
    local offsets
    offsets, why = cluster:group_offsets(group.group)
    if not offsets then return nil, why end
    for _, item in ipairs(offsets) do
      seen.commits[("group %s at %s/%d"):format(group.group, item.topic,
        item.partition)] = item.offset
    end
  end
  return seen
end

local function moved(before, after, what, lines)
  for place, offset in pairs(after) do
    if before[place] ~= offset then
      lines[#lines + 1] = ("%s: %s from %s to %d"):format(place, what,
        tostring(before[place] or "nothing"), offset)
    end
  end
end

--- What moved while we watched, as lines for people; empty when all is quiet.
local function watch(cluster, quiet_ms)
  local before, why = snapshot(cluster)
  if not before then return nil, why end
  context.progress("watching %s for %.1f s", cluster.name, quiet_ms / 1000)
  task.sleep(quiet_ms)
  local after
  after, why = snapshot(cluster)
  if not after then return nil, why end
  local lines = {}
  moved(before.ends, after.ends, "end of log went", lines)
  moved(before.commits, after.commits, "committed", lines)
  for _, seen in ipairs { before, after } do
    for _, group in ipairs(seen.live) do
      local members = cluster:group(group):members() or {}
      local names = {}
      for i, member in ipairs(members) do
        names[i] = ("%s (%s)"):format(member.client_id, member.host)
      end
      lines[#lines + 1] = ("group %s is in use: %s"):format(group,
        #names > 0 and table.concat(names, ", ") or "members unknown")
    end
  end
  table.sort(lines)
  for i = #lines, 2, -1 do
    if lines[i] == lines[i - 1] then table.remove(lines, i) end
  end
  return lines, after
end

local function check(g)
  local lines, after = watch(g.cluster, units.duration(g.quiet))
  if not lines then return nil, after end
  local want = "no members, commits or appends for " .. g.quiet
  local partitions, positions = 0, 0
  for _ in pairs(after.ends) do partitions = partitions + 1 end
  for _ in pairs(after.commits) do positions = positions + 1 end
  return {
    ok = #lines == 0, want = want, seen = { used = lines },
    text = #lines == 0
      and ("%s is retired: %s (%d partitions, %d committed positions stood "
        .. "still); nothing was deleted"):format(g.cluster.name, want,
        partitions, positions)
      or table.concat(lines, "; ", 1, math.min(#lines, 3)),
  }
end

return {
  name = "retired", title = "{cluster} is retired", subject = "cluster/{cluster}",
  takes = {
    { name = "cluster", kind = "cluster", desc = "what nobody uses any more" },
    { name = "quiet", kind = "duration", default = "10s",
      desc = "how long it is watched" },
  },
  check = check,
  apply = function(g)
    local answer, why = check(g)
    if not answer then return nil, why end
    if answer.ok then return true end
    return nil, err.new {
      kind = "conflict", origin = "kafka",
      message = ("%s is still in use: %s"):format(g.cluster.name, answer.text),
    }
  end,
  undo = function() end, -- it changed nothing
}
