"""The one way in and the one way out for files: whoever made a file, it is opened here.

Reading takes regular files only, looks at the size before a byte is read, and believes no JSON before its shape
was checked. Writing goes through an unguessable temporary name and a rename, follows no link below a folder that
may have come from elsewhere, and deletes only what it was given by name. On Linux and macOS all of it holds; on
Windows, which has no paths relative to an open folder, links are looked for by name instead, just before use.
"""
