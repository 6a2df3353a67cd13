--- A real worker of Kafka Connect (tests/world/mm2), for the stand-in of the
-- operator that runs MirrorMaker 2: its settings, and its REST API by curl.

local json = require "vm.json"
local sys = require "vm.sys"

local SCRIPT = "tests/world/mm2"
local HOST = "127.0.0.1"
local CONFLICT, GONE, MISSING = 409, "000", 404

local M = {}
local Worker = {}
Worker.__index = Worker

local function run(words)
  local done = assert(sys.run(words))
  if done.code ~= 0 then error(done.stderr, 0) end
  return (done.stdout:gsub("%s+$", ""))
end

local function free_port()
  while true do
    local a, b = sys.random(2):byte(1, 2)
    local port = 20000 + (a << 8 | b) % 9000
    if not sys.probe_tcp(HOST, port, 200) then return port end
  end
end

--- The worker that lives in a folder.
function M.at(dir)
  assert(sys.mkdir(dir, { parents = true, mode = 448 }))
  return setmetatable({ dir = dir, port = free_port() }, Worker)
end

function Worker:url() return ("http://%s:%d"):format(HOST, self.port) end

--- Writes a file that its settings name; the path.
function Worker:file(name, text)
  local path = self.dir .. "/" .. name
  if sys.read_file(path) ~= text then
    assert(sys.write_file(path, text, { mode = 384, atomic = true }))
  end
  return path
end

--- Runs with these settings; one that runs with others is started anew.
---@async
---@param settings table<string, any>
function Worker:match(settings)
  local words = { SCRIPT, "worker", self.dir, "listeners=" .. self:url(),
    "rest.advertised.host.name=" .. HOST }
  local names = {}
  for name in pairs(settings) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = settings[name]
    words[#words + 1] = name .. "=" .. tostring(math.tointeger(value) or value)
  end
  local text = table.concat(words, "\n")
  if text == self._made then return end
  if self._made then self:stop() end
  self.pid = math.tointeger(tonumber(run(words)))
  self._made = text
end

--- Whether its process has ended by itself.
function Worker:has_died()
  local seen = self.pid and sys.process(self.pid)
  return self.pid ~= nil and (not seen or seen.state == "dead")
end

---@async
function Worker:stop()
  run { SCRIPT, "stop", self.dir }
  self._made, self.pid = nil, nil
end

local function escaped(name)
  return (name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- One request: what it answers, true when that is nothing; nil when it does not
-- answer now (it starts, or its group changes), false when there is no such thing.
---@async
---@param path string[]
---@param more? { body?: table, query?: string }
function Worker:ask(method, path, more)
  local body, query = more and more.body, more and more.query
  local parts = {}
  for i, part in ipairs(path) do parts[i] = escaped(part) end
  local words = { "curl", "-s", "-m", "20", "-X", method, "-w", "\n%{http_code}",
    self:url() .. "/" .. table.concat(parts, "/") .. (query and "?" .. query or "") }
  if body then
    table.move({ "-H", "Content-Type: application/json", "--data-binary", "@-" }, 1, 4,
      #words + 1, words)
  end
  local done = assert(sys.run { args = words, input = body and json.encode(body) })
  local text, code = done.stdout:match "^(.*)\n(%d+)%s*$"
  if not code or code == GONE or tonumber(code) == CONFLICT then return nil end
  if tonumber(code) == MISSING then return false end
  if tonumber(code) >= 300 then error(text, 0) end
  return text ~= "" and json.decode(text) or true
end

return M
