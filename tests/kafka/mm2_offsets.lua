--- A real MirrorMaker 2 and what its offsets are worth: what it gives, held
-- against what is exact, per group and partition. Nothing of it is ours but
-- the reading.

local json = require "vm.json"
local sys = require "vm.sys"
local answers = require "mirror.mm2.answers"
local standing = require "mirror.mm2.standing"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local mm2_of = loadfile(here .. "/lib/mm2_world.lua")(here .. "/lib")

local PLAIN = 6000
local POSITIONS = {
  plain = { 0, 1, 777, 2500, 4839, 5999, 6000 },
  tx = { 0, 50, 151, 152, 300, 455, 604 },
}

--- One group per position, as groups that sleep have them.
local function commit(world)
  for topic, list in pairs(POSITIONS) do
    for index, offset in ipairs(list) do
      world:commit(world.old, topic .. index, {
        { topic = topic, partition = 0, offset = offset, metadata = "m" } })
    end
  end
  world:commit(world.old, "nothing", {
    { topic = "empty", partition = 0, offset = 0 } })
  world:commit(world.old, "other", {
    { topic = "left", partition = 0, offset = 0 } })
end

local function append(world)
  for first = 0, PLAIN - 1, 2000 do
    world:append(world.old, world.records("plain", 0, first, 2000))
  end
  for turn = 0, 3 do -- 150 records and a marker each, the second aborted
    world:append(world.old, world.records("tx", 0, turn * 150, 150),
      { transaction = turn == 1 and "abort" or "commit" })
  end
end

local function compare(t, mm2, flow, groups)
  return t.ok(answers.compare({ flow = flow, sides = mm2.sides,
    from = mm2.world.old:client "read" }, groups))
end

--- Every row is exact, by the records of both sides.
local function must_be_exact(t, mm2, rows)
  for topic, positions in pairs(POSITIONS) do
    local places = mm2:places(topic, 0, positions, "uncommitted")
    for index, offset in ipairs(positions) do
      local row
      for _, one in ipairs(rows) do
        if one.group == topic .. index then row = one end
      end
      t.ok(row, topic .. index)
      t.equal(row.committed, offset)
      t.equal(row.exact, places[index], ("%s %d (%s)"):format(topic, offset,
        row.why))
    end
  end
end

--- Waits until the model's answers are what MirrorMaker wrote down itself.
local function await_its_own_word(t, mm2)
  local rows
  local flow = mm2:await("the model and the checkpoints to agree", function(now)
    local told = 0
    rows = compare(t, mm2, now)
    for _, row in ipairs(rows) do
      if row.checkpoint then
        if row.mm2 ~= row.checkpoint.downstream then return false end
        told = told + 1
      end
    end
    return told >= 10
  end)
  return rows, flow
end

--- Records that groups would read again; none may be missed.
local function read_again(t, rows)
  local again = 0
  for _, row in ipairs(rows) do
    again = again + (row.again or 0)
    t.ok(not row.again or row.again >= 0, row.group .. " would miss records")
  end
  t.ok(again > 0, "nothing would be read again")
  t.note(("%d positions, all exact; by MirrorMaker's checkpoints %d records "
    .. "are read again"):format(#rows, again))
end

local function of(rows, group)
  for _, row in ipairs(rows) do if row.group == group then return row end end
end

local function command(t, world, ...)
  local done = t.ok(sys.run { sys.executable(), "mm2", ... })
  t.equal(done.stderr:gsub("[^\n]*there is no topic[^\n]*\n", ""), "")
  return done.stdout, done.code
end

test("what MirrorMaker gives, and what is exact", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = "plain" }, { name = "tx" },
    { name = "empty" }, { name = "left" } })
  commit(world)
  append(world)
  local mm2 <close> = mm2_of.start(t, world, { policy = "identity" },
    { "old->new.topics=plain, tx, empty" })
  mm2:await_copied { ["plain/0"] = PLAIN, ["tx/0"] = 603 }
  local rows, flow = await_its_own_word(t, mm2)
  t.equal(flow.problems, {})
  t.ok(#flow.syncs["plain/0"] > 1)
  must_be_exact(t, mm2, rows)
  read_again(t, rows)
  local none = of(rows, "nothing")
  t.equal(none.exact, 0)
  t.equal(none.mm2, nil)
  t.match(none.why, "MirrorMaker gives none: no sync")

  local other = of(compare(t, mm2, flow, { "other" }), "other")
  t.equal(other.exact, nil)
  t.match(other.why, "there is no left/0 on the target")

  local ends = t.ok(standing.rows { flow = flow, sides = mm2.sides })
  t.equal(ends[1].topic, "plain")
  t.equal(ends[1].copied, PLAIN)
  t.equal(ends[1].target_end, PLAIN)

  local at = { "old=" .. world.old.bootstrap, "new=" .. world.new.bootstrap,
    "--policy", "identity" }
  local text, code = command(t, world, "offsets", table.unpack(at))
  t.equal(code, 1) -- some are not exact
  t.match(text, "GROUP +PARTITION +COMMITTED +MM2 +EXACT +AGAIN +WHY")
  t.match(text, "plain7 +plain/0 +6000 +6000 +6000 +0 +exact")
  text = command(t, world, "offsets", "-o", "json", "--group", "plain3",
    table.unpack(at))
  t.equal(json.decode(text)[1].exact, 777)
  text, code = command(t, world, "flow", table.unpack(at))
  t.equal(code, 0)
  t.match(text, "plain/0 +6000 +6000 +plain 6000")
end)
