"""Synthetic RGB-D: procedural scenes, ray casting and a camera's faults; the same seed gives the same bytes.

materials   colors and procedural textures in a mip-mapped bank
shapes      unit meshes: box, lathe, superquadric
scene       a draft that is filled piece by piece, and the finished scene
furniture   what stands in rooms
rooms       a room from wall to clutter
streets     a street from kerb to sky
camera      where a photographer would stand
rendering   rays to radiance and depth
sensor      radiance to the 8-bit picture of a middling camera
generation  scenes to shards on disk
"""
