---@meta

--- A line of text from somebody at a terminal.

---@class vm.edit
local M = {}

--- Takes the terminal. Fails with kind "invalid" where there is none.
---@return tranship.Editor? editor, tranship.Err? err
function M.open() end

---@class tranship.Editor
local editor = {}

--- Reads a line, with editing, history and completion. Escape sequences of the
--- prompt stand between bytes 1.
---@async
---@param prompt string
---@return string? text, "line"|"cancel"|"end"|tranship.Err how  Enter, Ctrl-C or Ctrl-D
function editor:line(prompt) end

--- Waits until TAB is pressed while a line is read.
---@async
---@return string|false|nil before  what stands before the cursor; false when the editor closes
---@return tranship.Err? err
function editor:ask() end

--- Answers the open question.
---@param words string[]  what may follow
---@param typed integer   bytes before the cursor that a word replaces
function editor:answer(words, typed) end

--- Adds a line to the history.
---@param line string
function editor:remember(line) end

--- Reads a history file.
---@param path string
---@return true? done, tranship.Err? err
function editor:load(path) end

--- Writes the history into a file that only its owner may read.
---@param path string
---@return true? done, tranship.Err? err
function editor:save(path) end

--- Gives the terminal back; a line under way ends.
function editor:close() end

return M
