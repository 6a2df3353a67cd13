--- Changes as they come. A watch is resumed after every kind of end: the
-- server's own, a cut connection, half a line, silence, an error it can get
-- over. When the server no longer knows where we were, a fresh list says what
-- changed meanwhile, so that nothing is missed and nothing told twice.

local context = require "base.context"
local err = require "base.err"
local object = require "kube.object"
local status = require "kube.status"
local task = require "vm.task"

local M = {}

---@class tranship.KubeEvent
---@field type "ADDED"|"MODIFIED"|"DELETED"|"SYNCED"  SYNCED: all that was there has been told
---@field object? any  a view

---@class tranship.KubeWatch
local Watch = { __name = "kube.watch" }
Watch.__index = Watch

local SERVER_S = 290          -- the server ends it after this
local FIRST_WAIT_MS, LONGEST_WAIT_MS = 100, 5000
local PATIENCE_MS = 120000    -- without a connection

--- Events of a kind: those of the objects that are there first, unless `from`
-- names a version to go on from.
---@async
---@param kube tranship.Kubernetes
---@return tranship.KubeWatch?, tranship.Err?
function M.open(kube, kind, options)
  local found, namespace, called = kube:_place(kind, nil, options)
  if not found then return nil, namespace end
  if options.name then called = called .. ": " .. options.name end
  return setmetatable({
    kube = kube, kind = found, namespace = namespace, version = options.from,
    _path = object.path(found, namespace), _called = called,
    _options = options, _queue = {}, _at = 1, _wait_ms = FIRST_WAIT_MS,
    _known = not options.from and {} or nil, _good = task.now(),
  }, Watch)
end

local function fields_of(options)
  local name = options.name and "metadata.name=" .. options.name
  if name and options.fields then return name .. "," .. options.fields end
  return name or options.fields
end

function Watch:_put(type_name, one)
  self._queue[#self._queue + 1] = { type = type_name, object = one }
end

--- The fresh list against what was known.
function Watch:_reconcile(items)
  local seen = {}
  for _, item in ipairs(items) do
    local key = object.key(item)
    local old = self._known and self._known[key]
    seen[key] = item
    if old and old.metadata.uid ~= item.metadata.uid then
      self:_put("DELETED", old)
      old = nil
    end
    if not old then
      self:_put("ADDED", item)
    elseif old.metadata.resourceVersion ~= item.metadata.resourceVersion then
      self:_put("MODIFIED", item)
    end
  end
  for key, old in pairs(self._known or {}) do
    if not seen[key] then self:_put("DELETED", old) end
  end
  self._known = seen
  self:_put "SYNCED"
end

function Watch:_list()
  local options = self._options
  local items, version = self.kube:list(self.kind, {
    namespace = options.namespace, labels = options.labels,
    fields = fields_of(options), page = options.page,
  })
  if not items then return nil, version end
  self.version = version
  self:_reconcile(items)
  return true
end

local function params_of(self)
  return {
    watch = true, resourceVersion = self.version, allowWatchBookmarks = true,
    labelSelector = self._options.labels,
    fieldSelector = fields_of(self._options),
    timeoutSeconds = self._options.server_s or SERVER_S,
  }
end

--- Waits a moment before the next try; nil, err when it has been too long.
function Watch:_hold(why, asked_ms)
  if task.now() - self._good > (self._options.patience_ms or PATIENCE_MS) then
    return nil, err.new { kind = why.kind, origin = "kube", cause = why,
      code = why.code, retriable = true,
      message = ("watch %s: gave up: %s"):format(self._called, why.message) }
  end
  context.progress("%s: %s; watching again", self.kube.name, why.message)
  task.sleep(asked_ms or self._wait_ms)
  self._wait_ms = math.min(2 * self._wait_ms, LONGEST_WAIT_MS)
  return true
end

--- What to do after an error: go on (true) or give up (nil, err).
function Watch:_after(why, asked_ms)
  if why.code == 410 then
    self.version = nil
    return true
  elseif why.retriable or why.kind == "closed" or why.kind == "timeout"
    or why.kind == "unavailable" then
    return self:_hold(why, asked_ms)
  end
  return nil, why
end

function Watch:_connect()
  if not self.version then
    local ok, why = self:_list()
    if not ok then return self:_after(why) end
  end
  local session, why = self.kube:_session "read"
  if not session then return nil, why end
  local stream
  stream, why = session:stream { path = self._path, query = params_of(self),
    idle_ms = self._options.idle_ms }
  if not stream then
    return self:_after(err.wrap(why, "watch " .. self._called))
  end
  if stream:status() == 200 then
    self._stream, self._good = stream, task.now()
    return true
  end
  local answer
  answer, why = stream:answer()
  stream:close()
  if not answer then return self:_after(why) end
  return self:_after(status.err(answer, "watch " .. self._called),
    status.retry_after_ms(answer))
end

function Watch:_drop()
  if self._stream then self._stream:close() end
  self._stream = nil
end

--- Takes one line of the stream in: an event to tell, or nil.
function Watch:_take(line)
  local one = line.object
  self._wait_ms, self._good = FIRST_WAIT_MS, task.now()
  self.version = one.metadata and one.metadata.resourceVersion or self.version
  if line.type == "BOOKMARK" then return end
  local known = self._known
  if known then
    local key = object.key(one)
    known[key] = line.type ~= "DELETED" and one or nil
  end
  return { type = line.type, object = one }
end

--- Reads until there is an event; true when the stream is to be opened again.
function Watch:_read()
  local line, why = self._stream:next()
  if line and line.type == "ERROR" then
    why, line = status.of_event(line.object, "watch " .. self._called), nil
  end
  if line then return self:_take(line) end
  self:_drop()
  if line == false then return nil, nil, true end
  local ok
  ok, why = self:_after(why)
  if not ok then return nil, why end
  return nil, nil, true
end

function Watch:_next()
  while true do
    local event = self._queue[self._at]
    if event then
      self._queue[self._at], self._at = nil, self._at + 1
      return event
    end
    self._queue, self._at = {}, 1
    local why
    if not self._stream then
      local ok
      ok, why = self:_connect()
      if not ok then return nil, why end
    else
      event, why = self:_read()
      if event or why then return event, why end
    end
  end
end

--- The next event; nil and an err of kind "timeout" when none came in time.
---@async
---@param within_ms? integer  default: as long as it takes
---@return tranship.KubeEvent?, tranship.Err?
function Watch:next(within_ms)
  if not within_ms then return self:_next() end
  return task.deadline(within_ms, function() return self:_next() end)
end

--- Ends it.
function Watch:close() self:_drop() end
Watch.__close = Watch.close

return M
