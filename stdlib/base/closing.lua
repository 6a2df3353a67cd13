--- Several things that end together: tasks, processes, connections.

--- Closes everything in the list, what is put there later included, when it is
-- closed itself: `local _ <close> = closing(tasks)`.
---@param list table[]  of what has a method close
---@return table closer
return function(list)
  local function close()
    for _, one in ipairs(list) do one:close() end
  end
  return setmetatable({ close = close }, { __close = close })
end
