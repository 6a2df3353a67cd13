--- What `tranship mirror` is told: file and flags, and all that is wrong at once.

local spec = require "mirror.engine.spec"
local sys = require "vm.sys"

local test = ...

local function file_of(t, text)
  local dir = t.ok(sys.temporary_folder "tranship-test")
  local path = dir .. "/c.json"
  t.ok(sys.write_file(path, text))
  return path, setmetatable({}, { __close = function()
    sys.remove(path)
    sys.remove(dir)
  end })
end

test("flags alone describe a bridge", function(t)
  local found, problems = spec.of({ from = "a:1", to = "b:2",
    topics = { "apps.*" }, prefix = "blue.", memory = "32MiB",
    rate = "20MiB/s", metrics = "[::1]:9404" }, "road")
  t.equal(problems, {})
  t.equal(found, {
    name = "road", from = { name = "from", bootstrap = "a:1" },
    to = { name = "to", bootstrap = "b:2" }, topics = { "apps.*" },
    names = { prefix = "blue." }, memory = 32 << 20,
    rate = 20 << 20, metrics = { host = "::1", port = 9404 },
  })
end)

test("a file says it, and flags win", function(t)
  local path, gone <close> = file_of(t, [[{ "format": 1, "name": "road",
    "from": { "name": "old", "bootstrap": "a:1", "more": "kept" },
    "to": { "name": "new", "bootstrap": "b:2" }, "offsets": "same",
    "configs": "followed", "defaults": "source", "acls": "copied",
    "start": "latest", "topics": ["x", "y*"] }]])
  local found, problems = spec.of({ config = path, from = "c:3",
    offsets = "mapped", metrics = "off" })
  t.equal(problems, {})
  t.equal(found.from, { name = "old", bootstrap = "c:3", more = "kept" })
  t.equal({ found.offsets, found.configs, found.defaults, found.acls, found.start,
    found.metrics }, { "mapped", "followed", "source", "copied", "latest", "off" })
  t.equal(found.memory, 64 << 20)
  t.ok(gone)
end)

test("everything that is wrong is told at once", function(t)
  local path, gone <close> = file_of(t, [[{ "format": 1, "name": "road",
    "from": { "name": "old" }, "topics": [], "names": 7, "offsets": "exact",
    "memory": "1KiB", "rate": "5/s", "metrics": "host:1", "group": "yes", "tropics": 1,
    "start": "now" }]])
  local found, problems = spec.of({ config = path }, "other")
  t.equal(found, nil)
  local all = table.concat(problems, "\n")
  for _, part in ipairs { "the file is bridge road's, not other's",
    "from is {", "topics is a list", "names is", "offsets is one of",
    "memory is at least", "rate is bytes per time", "metrics is", "group is true or false",
    "start is one of: earliest, latest", "tropics is no field", "no cluster 'to'" } do
    t.ok(all:find(part, 1, true), part .. " in\n" .. all)
  end
  t.ok(gone)
end)

test("a file that cannot be read is no empty one", function(t)
  local _, problems = spec.of({ config = "/nowhere/c.json" }, "road")
  t.match(problems[1], "/nowhere/c.json")
  local path, gone <close> = file_of(t, '{ "format": 2 }')
  _, problems = spec.of({ config = path }, "road")
  t.match(problems[1], "format 2")
  t.ok(gone)
end)
